/* Relays what a container tells systemd by sd_notify(3). */
#include "executor.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_MAX 4096 /* what systemd itself takes at once: PIPE_BUF */
#define EXTRA_MAX   64	 /* what is added to the message that says ready */
#define READY	    "READY=1"

static int kept(struct executor *x, struct ref_list keep, const char *line, size_t len)
{
	for (uint32_t i = 0; i < keep.count; i++) {
		const char *prefix = plan_item(x, keep, i);
		size_t n = strlen(prefix);

		if (len >= n && !memcmp(line, prefix, n))
			return 1;
	}
	return 0;
}

static size_t append_line(char *out, size_t have, const char *line, size_t len)
{
	memcpy(out + have, line, len);
	out[have + len] = '\n';
	return have + len + 1;
}

/*
 * Passes one message on. The container is not trusted: only lines of the
 * plan's choice go on, and descriptors that come along are dropped, as there
 * is no room for them. Returns 0 when there is no message.
 */
static int relay_one(struct executor *x, const struct op_relay_notify *op)
{
	static char in[MESSAGE_MAX], out[MESSAGE_MAX + 1 + EXTRA_MAX + 1];
	ssize_t n = recv(slot_fd(x, op->from), in, sizeof(in), MSG_DONTWAIT | MSG_TRUNC);
	size_t have = 0;
	int ready = 0;

	if (n < 0)
		return errno == EINTR;
	if ((size_t)n > sizeof(in))
		return 1; /* longer than systemd takes */
	for (const char *p = in, *end = in + n; p < end;) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((newline ? newline : end) - p);

		if (kept(x, op->keep, p, len))
			have = append_line(out, have, p, len);
		ready |= len == strlen(READY) && !memcmp(p, READY, len);
		p += len + 1;
	}
	if (ready && op->extra.len && op->extra.len <= EXTRA_MAX)
		have = append_line(out, have, plan_str(x, op->extra), op->extra.len);
	/* A service manager that is gone or does not listen is no reason to end. */
	if (have)
		(void)!send(slot_fd(x, op->to), out, have, MSG_NOSIGNAL);
	return 1;
}

int op_relay_notify(struct executor *x, const struct op_relay_notify *op)
{
	struct pollfd wait[2] = {{.fd = slot_fd(x, op->pidfd), .events = POLLIN},
				 {.fd = slot_fd(x, op->from), .events = POLLIN}};

	/* Nobody waits for this process: it ends with the container. */
	close(x->socket);
	x->socket = -1;
	for (;;) {
		if (poll(wait, 2, -1) < 0 && errno != EINTR)
			_exit(1);
		while (relay_one(x, op))
			;
		if (wait[0].revents)
			_exit(0);
	}
}
