/* Loaded into Debian's keepalived where the kernel has no ip_vs: its requests to the kernel's table then succeed, and
 * everything else of it is as it is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* linux/ip_vs.h: IP_VS_BASE_CTL and what follows; the second of those that get is the version and the table's size. */
enum { FIRST = 64 + 1024 + 64, INFO = FIRST + 1, LAST = FIRST + 63 };

static int is_ip_vs(int level, int name) { return level == IPPROTO_IP && name >= FIRST && name <= LAST; }

int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    int (*real)(int, int, int, void *, socklen_t *) = dlsym(RTLD_NEXT, "getsockopt");
    const unsigned info[] = { 0x010201, 4096, 0 };

    if (!is_ip_vs(level, name))
        return real(fd, level, name, value, length);
    memset(value, 0, *length);
    if (name == INFO && *length >= sizeof info)
        memcpy(value, info, sizeof info);
    return 0;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    int (*real)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");

    return is_ip_vs(level, name) ? 0 : real(fd, level, name, value, length);
}
