/* For Debian's keepalived where there is no IPVS: answers its requests, which are socket options, with success, and
 * writes down when a server is taken out: "NANOSECONDS ADDRESS" by CLOCK_MONOTONIC, in the file $IPVS_RECORD. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FIRST = 1152, DEL_DEST = FIRST + 8, LAST = FIRST + 63, SERVICE_LEN = 44 };

static int is_ipvs(int level, int option) { return level == IPPROTO_IP && option >= FIRST && option <= LAST; }

int getsockopt(int fd, int level, int option, void *value, socklen_t *len) {
    if (is_ipvs(level, option)) {
        memset(value, 0, *len);
        return 0;
    }
    static int (*real)(int, int, int, void *, socklen_t *);
    if (!real)
        real = dlsym(RTLD_NEXT, "getsockopt");
    return real(fd, level, option, value, len);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t len) {
    if (!is_ipvs(level, option)) {
        static int (*real)(int, int, int, const void *, socklen_t);
        if (!real)
            real = dlsym(RTLD_NEXT, "setsockopt");
        return real(fd, level, option, value, len);
    }
    if (option == DEL_DEST && len >= SERVICE_LEN + sizeof(struct in_addr)) {
        struct timespec now;
        struct in_addr address;
        char text[INET_ADDRSTRLEN];
        static int record = -1;
        if (record < 0)
            record = open(getenv("IPVS_RECORD"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        clock_gettime(CLOCK_MONOTONIC, &now);
        memcpy(&address, (const char *)value + SERVICE_LEN, sizeof address);
        dprintf(record, "%lld %s\n", now.tv_sec * 1000000000LL + now.tv_nsec,
                inet_ntop(AF_INET, &address, text, sizeof text));
    }
    return 0;
}
