/*
 * The decoder: checks a plan from end to end before anything is done with it.
 * After plan_check has said yes, every reference may be followed.
 */
#include "executor.h"

#include <stdio.h>
#include <string.h>

#include "plan_tables.h"

struct decoder {
	const unsigned char *plan;
	size_t size;
	uint64_t pointers;
	uint64_t read; /* bytes that references led to */
	char *why;
	size_t whysize;
};

static int bad(struct decoder *d, uint32_t step, const char *what)
{
	snprintf(d->why, d->whysize, "step %u: %s", step, what);
	return -EINVAL;
}

static int check_range(const struct decoder *d, uint32_t off, uint64_t len)
{
	return off >= PLAN_HEADER_SIZE && off <= d->size && len <= d->size - off;
}

/*
 * The encoder writes everything once. References that share what they lead to
 * could make a small plan take for ever to read.
 */
static int check_once(struct decoder *d, uint32_t off, uint64_t len)
{
	if (!check_range(d, off, len))
		return 0;
	d->read += len;
	return d->read <= d->size;
}

/* A string is inside the plan, ends with NUL and holds no other. */
static int check_str(struct decoder *d, struct ref_str r)
{
	if (!check_once(d, r.off, (uint64_t)r.len + 1))
		return 0;
	return memchr(d->plan + r.off, 0, (size_t)r.len + 1) == d->plan + r.off + r.len;
}

static int check_list(struct decoder *d, struct ref_list l)
{
	const struct ref_str *refs;

	if (l.off % PLAN_FIELD_SIZE || !check_once(d, l.off, (uint64_t)l.count * sizeof(*refs)))
		return 0;
	refs = (const struct ref_str *)(const void *)(d->plan + l.off);
	for (uint32_t i = 0; i < l.count; i++)
		if (!check_str(d, refs[i]))
			return 0;
	d->pointers += (uint64_t)l.count + 2;
	return 1;
}

static int check_blob(struct decoder *d, struct ref_blob b)
{
	return b.off % PLAN_FIELD_SIZE == 0 && check_once(d, b.off, b.len);
}

static int check_field(struct decoder *d, uint8_t kind, uint64_t v)
{
	struct ref_str r;

	memcpy(&r, &v, sizeof(r));
	switch ((enum field_kind)kind) {
	case FIELD_STR:
		return check_str(d, r);
	case FIELD_LIST:
		return check_list(d, (struct ref_list){r.off, r.len});
	case FIELD_BLOB:
		return check_blob(d, (struct ref_blob){r.off, r.len});
	case FIELD_BOOL:
		return v <= 1;
	case FIELD_U32:
		return v <= UINT32_MAX;
	case FIELD_U64:
		return 1;
	case FIELD_SLOT:
		return v < PLAN_SLOT_COUNT;
	case FIELD_POINT:
		return v < PLAN_POINT_COUNT;
	case FIELD_KIND:
		return v <= PLAN_KIND_SOURCE;
	}
	return 0;
}

static int check_step(struct decoder *d, uint32_t index, uint32_t steps, const struct step *s)
{
	const uint64_t *fields = (const uint64_t *)(const void *)(s + 1);

	if (s->code == OP_NONE || s->code >= OP_COUNT)
		return bad(d, index, "unknown operation");
	if (s->fields != op_descs[s->code].fields)
		return bad(d, index, "wrong number of fields");
	if (s->tolerated > PLAN_MAX_ON_ERROR || s->zero || s->zero2)
		return bad(d, index, "damaged header");
	if (s->or_else >= steps - index)
		return bad(d, index, "alternatives beyond the end");
	if (!check_range(d, (uint32_t)((const unsigned char *)fields - d->plan), (uint64_t)s->fields * PLAN_FIELD_SIZE))
		return bad(d, index, "fields beyond the end");
	for (uint16_t i = 0; i < s->fields; i++)
		if (!check_field(d, op_descs[s->code].kinds[i], fields[i]))
			return bad(d, index, "damaged field");
	return 0;
}

const struct step *plan_next(const struct step *s)
{
	return (const struct step *)(const void *)((const unsigned char *)(s + 1) +
						   (size_t)s->fields * PLAN_FIELD_SIZE);
}

static int check_header(struct decoder *d)
{
	const struct header *h = (const struct header *)(const void *)d->plan;
	const uint32_t *slots;

	if (d->size < sizeof(*h) || d->size > PLAN_MAX_SIZE)
		return bad(d, 0, "not the size of a plan");
	if (h->magic != PLAN_MAGIC || h->version != PLAN_VERSION || h->size != d->size)
		return bad(d, 0, "not a plan of this version");
	if (h->steps == 0 || h->steps > PLAN_MAX_STEPS || h->first != PLAN_HEADER_SIZE)
		return bad(d, 0, "no operations, or too many");
	if (h->pointers > h->size)
		return bad(d, 0, "more pointers than there can be strings");
	if (h->zero[0] || h->zero[1] || h->zero[2] || h->zero[3])
		return bad(d, 0, "damaged header");
	if (h->socket > 65535 || h->preserve > 65535 || h->slots_from > 65535 || h->slot_count > PLAN_SLOT_COUNT)
		return bad(d, 0, "descriptor numbers out of range");
	if (h->slots % sizeof(*slots) || !check_range(d, h->slots, h->slot_count * sizeof(*slots)))
		return bad(d, 0, "slots beyond the end");
	slots = (const uint32_t *)(const void *)(d->plan + h->slots);
	for (uint32_t i = 0; i < h->slot_count; i++)
		if (slots[i] == PLAN_SLOT_NONE || slots[i] >= PLAN_SLOT_COUNT)
			return bad(d, 0, "unknown slot");
	return 0;
}

int plan_check(const unsigned char *plan, size_t size, char *why, size_t whysize)
{
	struct decoder d = {.plan = plan, .size = size, .why = why, .whysize = whysize};
	const struct header *h = (const struct header *)(const void *)plan;
	const struct step *s;
	int r = check_header(&d);

	if (r < 0)
		return r;
	s = (const struct step *)(const void *)(plan + h->first);
	for (uint32_t i = 0; i < h->steps; i++, s = plan_next(s)) {
		size_t at = (size_t)((const unsigned char *)s - plan);

		if (at > size || size - at < sizeof(*s))
			return bad(&d, i, "beyond the end");
		r = check_step(&d, i, h->steps, s);
		if (r < 0)
			return r;
	}
	if (d.pointers > h->pointers)
		return bad(&d, 0, "more strings than the header says");
	return 0;
}
