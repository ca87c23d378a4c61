/* serial-sent PORT: how many bytes the serial port has sent since its driver has it. Not every kernel has that below /proc. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <linux/serial.h>

int main(int argc, char **argv)
{
	struct serial_icounter_struct count;
	int port = argc == 2 ? open(argv[1], O_RDWR | O_NOCTTY | O_NONBLOCK) : -1;

	if (port < 0 || ioctl(port, TIOCGICOUNT, &count)) {
		perror("serial-sent");
		return 1;
	}
	printf("%d\n", count.tx);
	return 0;
}
