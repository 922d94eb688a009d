#!/bin/sh
# Builds the stub, for each architecture that has one or for those named.
set -e
cd "$(dirname "$0")"
flags="-std=gnu11 -Os -Wall -Wextra -Wno-parentheses -ffreestanding -nostdlib -static -fno-pie -no-pie
	-fno-stack-protector -fno-asynchronous-unwind-tables -fno-ident -fomit-frame-pointer -fno-tree-loop-distribute-patterns
	-Wl,--build-id=none,-z,noexecstack,-z,norelro,-z,noseparate-code,-s"
for arch in ${*:-amd64 arm64}; do
	case $arch in
	amd64) x86_64-linux-gnu-gcc $flags -fcf-protection=none -o stub_linux_amd64 c/stub.c ;;
	arm64) aarch64-linux-gnu-gcc $flags -mno-outline-atomics -o stub_linux_arm64 c/stub.c ;;
	esac
done
