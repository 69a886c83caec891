#!/bin/sh
# Is nginx there? If not, start it; if that fails, stop keepalived, so that the address moves to the other router.
running() { [ -s /run/nginx.pid ] && kill -0 "$(cat /run/nginx.pid)" 2>/dev/null; }

running && exit 0
nginx 2>/dev/null
sleep 1
running && exit 0
# Under systemd this is `systemctl stop keepalived-rs`.
kill "$(cat /run/keepalived.pid)"
exit 1
