// SPDX-License-Identifier: GPL-2.0
/*
 * The first and only program of the kernels of make kunit: loads the module, whose suites run
 * meanwhile, unloads it, ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Into the kernel's log, so that it stands in its place among what the suites say. */
static void note(const char *what, int err)
{
	char line[128];
	int fd = open("/dev/kmsg", O_WRONLY);
	int n = snprintf(line, sizeof(line), "<5>ovs-kunit: %s: %s\n", what,
			 err ? strerror(err) : "ok");

	if (fd < 0 || write(fd, line, n) != n)
		fputs(line, stdout);
	close(fd);
}

static void put(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	if (fd >= 0 && write(fd, value, strlen(value)) < 0)
		note(path, errno);
	close(fd);
}

/*
 * Asks kmemleak for what nobody refers to, where the kernel has it, and shows it. Twice: an object
 * must be old enough (5 s) and, lest its only reference was in a register, not have been seen to
 * change in between.
 */
static void scan(const char *when)
{
	char text[4096];
	int i, n, fd = open("/sys/kernel/debug/kmemleak", O_RDWR);

	if (fd < 0)
		return;
	for (i = 0; i < 2; i++) {
		sleep(6);
		note(when, write(fd, "scan", 4) == 4 ? 0 : errno);
	}
	while ((n = read(fd, text, sizeof(text))) > 0)
		if (write(1, text, n) != n)
			break;
	if (write(fd, "clear", 5) != 5) /* what was shown */
		note("kmemleak", errno);
	close(fd);
}

int main(void)
{
	int fd;

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, "");
	mount("proc", "/proc", "proc", 0, "");
	mount("sysfs", "/sys", "sysfs", 0, "");
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, "");

	/* Allocations that may sleep can fail, too, and say nothing of it. */
	put("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	put("/sys/kernel/debug/failslab/verbose", "0");

	/* What the kernel's own start has left behind is told apart. */
	scan("kmemleak, kernel up");

	fd = open("/openvswitch.ko", O_RDONLY);
	note("insmod", fd < 0 || syscall(SYS_finit_module, fd, "", 0) ? errno : 0);
	scan("kmemleak, suites done");
	note("rmmod", syscall(SYS_delete_module, "openvswitch", O_NONBLOCK) ? errno : 0);
	scan("kmemleak, module gone");
	sync();
	reboot(RB_POWER_OFF);
	return 1;
}
