# The same file gives the same table as with Debian's keepalived: the files of conf/ that have virtual servers, and some
# of the field's where they are at hand (tests/config says how they are found); FILES=all takes all of those.
/usr/bin/python3 "$here/files.py" "$(dirname "$(dirname "$here")")" || failed=1
