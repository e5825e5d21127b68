/*
 * Fuzzes the decoder: a plan that plan_check takes must be one that every
 * operation can read without leaving it. Built with ASan and UBSan; the input
 * is in a block of its own size, so that a byte too far is seen.
 */
#include "executor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                                             \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                        \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

static volatile unsigned char sink;

static void read_bytes(const void *at, size_t n)
{
	const volatile unsigned char *p = at;

	for (size_t i = 0; i < n; i++)
		sink ^= p[i];
}

static void read_list(const struct executor *x, struct ref_list l)
{
	REQUIRE(l.off >= PLAN_HEADER_SIZE && l.off % PLAN_FIELD_SIZE == 0);
	for (uint32_t i = 0; i < l.count; i++) {
		const char *s = plan_item(x, l, i);

		read_bytes(s, strlen(s) + 1);
	}
}

/* Reads a field as the operations do. */
static void read_field(const struct executor *x, uint8_t kind, const uint64_t *field)
{
	struct ref_str r;

	memcpy(&r, field, sizeof(r));
	switch ((enum field_kind)kind) {
	case FIELD_STR:
		REQUIRE(r.off >= PLAN_HEADER_SIZE && strlen(plan_str(x, r)) == r.len);
		read_bytes(plan_str(x, r), (size_t)r.len + 1);
		break;
	case FIELD_LIST:
		read_list(x, (struct ref_list){r.off, r.len});
		break;
	case FIELD_BLOB:
		REQUIRE(r.off % PLAN_FIELD_SIZE == 0);
		read_bytes(x->plan + r.off, r.len);
		break;
	case FIELD_SLOT:
		(void)slot_fd(x, *field);
		break;
	case FIELD_BOOL:
		REQUIRE(*field <= 1);
		break;
	case FIELD_POINT:
		REQUIRE(*field < PLAN_POINT_COUNT);
		break;
	case FIELD_KIND:
		REQUIRE(*field <= PLAN_KIND_SOURCE);
		break;
	case FIELD_U32:
		REQUIRE(*field <= UINT32_MAX);
		break;
	case FIELD_U64:
		break;
	}
}

/* The environment entries that an answer can bring at most: as many as bytes. */
static void bring_late(struct executor *x)
{
	memset(x->late, 0, sizeof(x->late));
	x->late_len = PLAN_REPLY_DATA;
}

static void walk(struct executor *x)
{
	const struct header *h = x->header;
	const struct step *s = (const void *)(x->plan + h->first);

	for (uint32_t i = 0; i < h->steps; i++, s = plan_next(s)) {
		const uint64_t *fields = (const void *)(s + 1);

		REQUIRE(s->or_else < h->steps - i);
		REQUIRE(s->tolerated <= PLAN_MAX_ON_ERROR);
		for (uint16_t f = 0; f < s->fields; f++)
			read_field(x, op_descs[s->code].kinds[f], &fields[f]);
		/* It lays argv and envp out, and without a program stops there. */
		if (s->code == OP_EXECVE)
			REQUIRE(op_execve(x, (const void *)fields) == -ENOENT);
	}
	for (uint32_t i = 0; i < h->slot_count; i++) {
		const uint32_t *slots = (const void *)(x->plan + h->slots);

		REQUIRE(slots[i] < PLAN_SLOT_COUNT);
	}
}

static void follow(const unsigned char *plan, size_t size)
{
	static struct executor x;

	memset(&x, 0, sizeof(x));
	x.plan = plan;
	x.size = (uint32_t)size;
	x.header = (const void *)plan;
	x.socket = x.report_fd = -1;
	bring_late(&x);
	REQUIRE(x.header->pointers <= size);
	x.pointers = malloc(plan_pointers(x.header) * sizeof(*x.pointers));
	REQUIRE(x.pointers != NULL);
	walk(&x);
	free(x.pointers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char *plan = malloc(size);
	char why[64] = "";

	if (!plan)
		return 0;
	memcpy(plan, data, size);
	if (plan_check(plan, size, why, sizeof(why)) == 0)
		follow(plan, size);
	else
		REQUIRE(strlen(why) > 0);
	free(plan);
	return 0;
}

/* A small number that the next call does not repeat; rand_r(3) would do as well. */
static unsigned pick(unsigned *seed, unsigned below)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 8) % below;
}

/* Most changes would not get past the header: it is put right again. */
static void mend_header(uint8_t *data, size_t size, unsigned *seed)
{
	struct header h;

	memcpy(&h, data, sizeof(h));
	h.magic = PLAN_MAGIC;
	h.version = PLAN_VERSION;
	h.size = (uint32_t)size;
	h.first = PLAN_HEADER_SIZE;
	memset(h.zero, 0, sizeof(h.zero));
	switch (pick(seed, 4)) {
	case 0:
		h.pointers = pick(seed, 32);
		/* fall through */
	case 1:
		h.socket %= 65536;
		h.preserve %= 65536;
		h.slots_from %= 65536;
	}
	memcpy(data, &h, sizeof(h));
}

/* Moves a reference, or makes it longer or shorter, by a little. */
static void shift_field(uint8_t *data, size_t size, unsigned *seed)
{
	size_t at = PLAN_HEADER_SIZE, word;
	unsigned steps = pick(seed, 80);
	struct step s;
	uint32_t v;

	for (;; at += sizeof(s) + s.fields * PLAN_FIELD_SIZE) {
		if (at + sizeof(s) > size)
			return;
		memcpy(&s, data + at, sizeof(s));
		if (!steps-- || s.fields > OP_FIELDS_MAX)
			break;
	}
	if (!s.fields || s.fields > OP_FIELDS_MAX)
		return;
	word = at + sizeof(s) + pick(seed, s.fields) * PLAN_FIELD_SIZE + pick(seed, 2) * 4;
	if (word + sizeof(v) > size)
		return;
	memcpy(&v, data + word, sizeof(v));
	v += pick(seed, 17) - 8u;
	memcpy(data + word, &v, sizeof(v));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	unsigned kind = pick(&seed, 4);

	if (kind < 3 || size < sizeof(struct header))
		size = LLVMFuzzerMutate(data, size, max);
	if (size < sizeof(struct header) || pick(&seed, 16) == 0)
		return size;
	mend_header(data, size, &seed);
	if (kind > 1)
		shift_field(data, size, &seed);
	return size;
}
