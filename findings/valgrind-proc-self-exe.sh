#!/usr/bin/env bash
# valgrind 3.19.0 (Debian 12): which file `/proc/self/exe` is, asked in four ways by one program under memcheck.
# Expected: four times one file.
# Seen (Linux x86-64): `readlink` and `open` give the program, `stat` and `execve` give valgrind's own tool. A program that checks the file by `stat`
# and then starts itself by that name compares and starts valgrind; one that opens the name and uses the descriptor is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download --quiet --quiet valgrind=1:3.19.0-1
dpkg -x valgrind_*.deb .
cat > seen.c <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct stat program, file;
    char path[4096] = {0};
    (void)argc;
    stat(argv[0], &program);
    readlink("/proc/self/exe", path, sizeof path - 1);
    printf("readlink: %s\n", strcmp(path, argv[0]) ? "another" : "the program");
    fstat(open("/proc/self/exe", O_RDONLY), &file);
    printf("open: %s\n", file.st_ino == program.st_ino ? "the program" : "another");
    stat("/proc/self/exe", &file);
    printf("stat: %s\n", file.st_ino == program.st_ino ? "the program" : "another");
    fflush(stdout);
    execl("/proc/self/exe", "/proc/self/exe", "--version", (char *)0);
    return 1;
}
C
cc -w -o seen seen.c
seen=$(VALGRIND_LIB="$folder/usr/libexec/valgrind" usr/bin/valgrind.bin --quiet "$folder/seen" 2>&1 || true)
echo "$seen"
diff <(head -n 3 <<<"$seen") - <<'TEXT'
readlink: the program
open: the program
stat: another
TEXT
grep -q "valgrind: You cannot run" <<<"$seen"
