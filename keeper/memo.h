/*
 * A plain load or store, as the keeper describes it to ring 0. Ring 0 remembers it by the bytes of
 * the instruction and its mode, and then does the same access again without the keeper. The address
 * is no part of it: an access across a page's end stays the keeper's. Both sides include this
 * header, so it includes nothing.
 */
#ifndef KEEPER_MEMO_H
#define KEEPER_MEMO_H

enum {
	MEMO_STORE = 1,         /* to memory; otherwise a load into the register */
	MEMO_IMM = 2,           /* a store of `imm`, not of the register */
	MEMO_HIGH = 4,          /* the register is AH, CH, DH or BH; `reg` names RAX..RBX */
	MEMO_SIGNED = 8,        /* a load copies the sign into the register's other bytes */
	MEMO_FLAGS = 15,
};

struct memo {
	u8 length;              /* of the instruction, in bytes; 0: there is no memo */
	u8 flags;               /* MEMO_* */
	u8 size;                /* bytes of memory: 1, 2, 4 or 8 */
	u8 reg, reg_size;       /* the register's number, and how many of its bytes count */
	u8 unused[3];
	s32 imm;                /* a store of 8 bytes extends the sign */
};
_Static_assert(sizeof(struct memo) == 12, "a fixed size");

/* Does it describe an instruction that can be? Ring 0 asks before it believes the keeper. */
static inline bool memo_is_sound(const struct memo *m)
{
	return m->length - 1u < 15 && m->flags <= MEMO_FLAGS && m->reg < 16 &&
	       m->size - 1u < 8 && !(m->size & (m->size - 1)) &&
	       m->reg_size - 1u < 8 && !(m->reg_size & (m->reg_size - 1));
}

/* Returns the bytes that a store puts into memory; `reg` is what its register has. */
static inline u64 memo_store(const struct memo *m, u64 reg)
{
	u64 data = m->flags & MEMO_IMM ? (u64)(s64)m->imm : m->flags & MEMO_HIGH ? reg >> 8 : reg;

	return data & ~0ull >> (64 - 8 * m->size);
}

/*
 * Returns what a load makes of its register; `reg` is what that has, and `data` what memory had.
 * Four bytes clear the upper half, and fewer leave the rest as it is.
 */
static inline u64 memo_load(const struct memo *m, u64 reg, u64 data)
{
	unsigned unread = 64 - 8 * m->size, high = m->flags & MEMO_HIGH ? 8 : 0;
	u64 value = m->flags & MEMO_SIGNED ? (u64)((s64)(data << unread) >> unread) :
		data << unread >> unread;
	u64 counts = ~0ull >> (64 - 8 * m->reg_size);
	u64 changed = m->reg_size == 4 ? ~0ull : counts << high;

	return (reg & ~changed) | (value & counts) << high;
}

#endif
