# Every kind of checker beside Debian's keepalived, on real servers that fail in every way: each has a namespace, and so
# a table, of its own, and both ask the same servers at the same time.
/usr/bin/python3 "$here/checkers.py" || failed=1
