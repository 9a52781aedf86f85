/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Call frame information, as DWARF 5 (6.4) and the LSB (.eh_frame) define it.
 *
 * Invariants: each read is bounded by its entry and each entry by the section; a program makes at
 * most one state per instruction and its addresses only rise, so the work is linear in the bytes
 * whatever they are.
 */
#include "unwind/cfi.h"

#include <dwarf.h>
#include <errno.h>

enum {
	POINTER_SIZE = 8,
	REMEMBERED_MAX = 32,
	/* Not in every dwarf.h. */
	CFA_MIPS_ADVANCE_LOC8 = 0x1d,
};

static uint64_t position(const struct rows_input *input, const struct cursor *cursor)
{
	return (uint64_t)(cursor->at - (const uint8_t *)input->data);
}

/* A pointer in the encoding of the LSB; indirect ones are not for tables of code. */
static uint64_t encoded_pointer(const struct rows_input *input, struct cursor *cursor,
				uint8_t encoding)
{
	uint64_t at = input->address + position(input, cursor);
	uint64_t value = 0;

	if (encoding == DW_EH_PE_omit)
		return 0;
	if ((encoding & 0x70) == DW_EH_PE_aligned) {
		cursor_bytes(cursor, -at % POINTER_SIZE);
		return cursor_unsigned(cursor, POINTER_SIZE);
	}
	switch (encoding & 0x0f) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		value = cursor_unsigned(cursor, 8);
		break;
	case DW_EH_PE_uleb128:
		value = cursor_uleb(cursor);
		break;
	case DW_EH_PE_udata2:
		value = cursor_unsigned(cursor, 2);
		break;
	case DW_EH_PE_udata4:
		value = cursor_unsigned(cursor, 4);
		break;
	case DW_EH_PE_sleb128:
		value = (uint64_t)cursor_sleb(cursor);
		break;
	case DW_EH_PE_sdata2:
		value = (uint64_t)cursor_signed(cursor, 2);
		break;
	case DW_EH_PE_sdata4:
		value = (uint64_t)cursor_signed(cursor, 4);
		break;
	default:
		cursor->bad = true;
	}
	switch (encoding & 0x70) {
	case DW_EH_PE_absptr:
		return value;
	case DW_EH_PE_pcrel:
		return value + at;
	case DW_EH_PE_textrel:
		return value + input->text_address;
	case DW_EH_PE_datarel:
		return value + input->data_address;
	default:
		cursor->bad = true;
		return 0;
	}
}

int cfi_entry_at(const struct rows_input *input, uint64_t offset, struct cfi_entry *ret,
		 uint64_t *ret_next)
{
	const uint8_t *data = input->data;
	struct cursor cursor = {data, data + input->size, false};
	unsigned offset_size = 4;
	uint64_t length, id, id_at;

	cursor_bytes(&cursor, offset);
	if (!cursor_left(&cursor) && !cursor.bad)
		return 0;
	length = cursor_unsigned(&cursor, 4);
	if (length == UINT32_MAX) {
		length = cursor_unsigned(&cursor, 8);
		offset_size = 8;
	}
	ret->body.at = cursor.at;
	if (!cursor_bytes(&cursor, length))
		return -EINVAL;
	*ret_next = position(input, &cursor);
	ret->body.end = cursor.at;
	/* Terminators of .eh_frame are empty entries; the linker may leave some in the middle. */
	ret->body.bad = false;
	ret->offset = offset;
	id_at = position(input, &ret->body);
	/* In .eh_frame the pointer to the CIE has 4 bytes in either format. */
	if (!input->debug_frame)
		offset_size = 4;
	id = cursor_unsigned(&ret->body, offset_size);
	if (input->debug_frame) {
		ret->is_cie = id == (offset_size == 4 ? UINT32_MAX : UINT64_MAX);
		ret->cie_offset = id;
	} else {
		ret->is_cie = !id;
		ret->cie_offset = id_at - id;
	}
	return 1;
}

static bool augmentation_read(const struct rows_input *input, const char *letters,
			      struct cursor *data, struct cfi_cie *cie)
{
	for (; *letters; letters++) {
		switch (*letters) {
		case 'R':
			cie->encoding = cursor_byte(data);
			break;
		case 'L':
			cursor_byte(data);
			break;
		case 'P': {
			uint8_t encoding = cursor_byte(data);

			/* The personality is only skipped, so its being indirect does not matter.
			 */
			encoded_pointer(input, data, encoding & (uint8_t)~DW_EH_PE_indirect);
			break;
		}
		case 'S':
			cie->signal_frame = true;
			break;
		case 'B': /* arm64: signed with the B key */
		case 'G': /* arm64: tagged stack */
			break;
		default:
			return false;
		}
	}
	return !data->bad;
}

/* The machine: what a program changes while it runs. */
struct machine {
	const struct rows_input *input;
	const struct rows_arch *arch;
	const struct cfi_cie *cie;
	struct cursor cursor;
	struct frame_state state;
	struct frame_state *remembered; /* REMEMBERED_MAX, not cleared: it is large */
	unsigned depth;
	uint64_t pc, end;
	cfi_row_fn *row; /* NULL for a CIE, whose program has no addresses */
	void *context;
};

static struct frame_rule *register_rule(struct machine *machine, uint64_t number)
{
	if (number == machine->cie->ra_column)
		return &machine->state.registers[FRAME_RA];
	if (number == machine->arch->fp)
		return &machine->state.registers[FRAME_FP];
	if (number == machine->arch->sp)
		return &machine->state.registers[FRAME_SP];
	return NULL;
}

static void set_rule(struct machine *machine, uint64_t number, enum frame_how how, int64_t offset)
{
	struct frame_rule *rule = register_rule(machine, number);

	if (rule)
		*rule = (struct frame_rule){.how = how, .offset = offset};
}

static void set_expression(struct machine *machine, enum frame_how how)
{
	struct frame_rule *rule = register_rule(machine, cursor_uleb(&machine->cursor));
	uint64_t size = cursor_uleb(&machine->cursor);
	const uint8_t *expression = cursor_bytes(&machine->cursor, size);

	if (rule && expression)
		*rule = (struct frame_rule){.how = how, .expression = expression, .size = size};
}

static void set_initial(struct machine *machine, uint64_t number)
{
	struct frame_rule *rule = register_rule(machine, number);

	if (rule)
		*rule = machine->cie->initial.registers[rule - machine->state.registers];
}

static int64_t factored(const struct machine *machine, uint64_t offset)
{
	return (int64_t)(offset * (uint64_t)machine->cie->data_alignment);
}

static void set_cfa(struct machine *machine, uint64_t number, int64_t offset)
{
	machine->state.cfa_is_expression = false;
	machine->state.cfa_register = number;
	machine->state.cfa_offset = offset;
}

/* False where the program cannot go on. */
static bool move_to(struct machine *machine, uint64_t pc)
{
	if (!machine->row || pc < machine->pc)
		return false;
	if (pc > machine->pc)
		machine->row(machine->context, machine->pc, &machine->state);
	machine->pc = pc;
	return true;
}

static bool advance(struct machine *machine, uint64_t delta)
{
	uint64_t bytes;

	if (__builtin_mul_overflow(delta, machine->cie->code_alignment, &bytes) ||
	    __builtin_add_overflow(machine->pc, bytes, &bytes))
		return false;
	return move_to(machine, bytes);
}

static bool remember(struct machine *machine)
{
	if (machine->depth == REMEMBERED_MAX)
		return false;
	machine->remembered[machine->depth++] = machine->state;
	return true;
}

static bool restore(struct machine *machine)
{
	if (!machine->depth)
		return false;
	machine->state = machine->remembered[--machine->depth];
	return true;
}

static bool execute_cfa(struct machine *machine, uint8_t opcode)
{
	struct cursor *cursor = &machine->cursor;
	uint64_t number, size;

	switch (opcode) {
	case DW_CFA_def_cfa:
		number = cursor_uleb(cursor);
		set_cfa(machine, number, (int64_t)cursor_uleb(cursor));
		return true;
	case DW_CFA_def_cfa_sf:
		number = cursor_uleb(cursor);
		set_cfa(machine, number, factored(machine, (uint64_t)cursor_sleb(cursor)));
		return true;
	case DW_CFA_def_cfa_register:
		if (machine->state.cfa_is_expression)
			return false;
		machine->state.cfa_register = cursor_uleb(cursor);
		return true;
	case DW_CFA_def_cfa_offset:
		machine->state.cfa_offset = (int64_t)cursor_uleb(cursor);
		return !machine->state.cfa_is_expression;
	case DW_CFA_def_cfa_offset_sf:
		machine->state.cfa_offset = factored(machine, (uint64_t)cursor_sleb(cursor));
		return !machine->state.cfa_is_expression;
	case DW_CFA_def_cfa_expression:
		size = cursor_uleb(cursor);
		machine->state.cfa_expression = cursor_bytes(cursor, size);
		machine->state.cfa_size = size;
		machine->state.cfa_is_expression = true;
		return true;
	default:
		return false;
	}
}

static bool execute_register(struct machine *machine, uint8_t opcode)
{
	struct cursor *cursor = &machine->cursor;
	uint64_t number;

	switch (opcode) {
	case DW_CFA_offset_extended:
		number = cursor_uleb(cursor);
		set_rule(machine, number, FRAME_OFFSET, factored(machine, cursor_uleb(cursor)));
		return true;
	case DW_CFA_offset_extended_sf:
		number = cursor_uleb(cursor);
		set_rule(machine, number, FRAME_OFFSET,
			 factored(machine, (uint64_t)cursor_sleb(cursor)));
		return true;
	case DW_CFA_GNU_negative_offset_extended:
		number = cursor_uleb(cursor);
		set_rule(machine, number, FRAME_OFFSET, factored(machine, -cursor_uleb(cursor)));
		return true;
	case DW_CFA_val_offset:
		number = cursor_uleb(cursor);
		set_rule(machine, number, FRAME_VALUE_OFFSET,
			 factored(machine, cursor_uleb(cursor)));
		return true;
	case DW_CFA_val_offset_sf:
		number = cursor_uleb(cursor);
		set_rule(machine, number, FRAME_VALUE_OFFSET,
			 factored(machine, (uint64_t)cursor_sleb(cursor)));
		return true;
	case DW_CFA_restore_extended:
		set_initial(machine, cursor_uleb(cursor));
		return true;
	case DW_CFA_undefined:
		set_rule(machine, cursor_uleb(cursor), FRAME_UNDEFINED, 0);
		return true;
	case DW_CFA_same_value:
		set_rule(machine, cursor_uleb(cursor), FRAME_SAME, 0);
		return true;
	case DW_CFA_register:
		number = cursor_uleb(cursor);
		cursor_uleb(cursor);
		set_rule(machine, number, FRAME_REGISTER, 0);
		return true;
	case DW_CFA_expression:
		set_expression(machine, FRAME_EXPRESSION);
		return true;
	case DW_CFA_val_expression:
		set_expression(machine, FRAME_VALUE_EXPRESSION);
		return true;
	default:
		return execute_cfa(machine, opcode);
	}
}

/* One instruction; false where the program cannot go on. */
static bool execute(struct machine *machine)
{
	struct cursor *cursor = &machine->cursor;
	uint8_t opcode = cursor_byte(cursor);
	uint8_t operand = opcode & 0x3f;

	switch (opcode & 0xc0) {
	case DW_CFA_advance_loc:
		return advance(machine, operand);
	case DW_CFA_offset:
		set_rule(machine, operand, FRAME_OFFSET, factored(machine, cursor_uleb(cursor)));
		return true;
	case DW_CFA_restore:
		set_initial(machine, operand);
		return true;
	}
	switch (opcode) {
	case DW_CFA_nop:
		return true;
	case DW_CFA_set_loc:
		return move_to(machine,
			       encoded_pointer(machine->input, cursor, machine->cie->encoding));
	case DW_CFA_advance_loc1:
		return advance(machine, cursor_unsigned(cursor, 1));
	case DW_CFA_advance_loc2:
		return advance(machine, cursor_unsigned(cursor, 2));
	case DW_CFA_advance_loc4:
		return advance(machine, cursor_unsigned(cursor, 4));
	case CFA_MIPS_ADVANCE_LOC8:
		return advance(machine, cursor_unsigned(cursor, 8));
	case DW_CFA_remember_state:
		return remember(machine);
	case DW_CFA_restore_state:
		return restore(machine);
	case DW_CFA_GNU_args_size:
		cursor_uleb(cursor);
		return true;
	case DW_CFA_GNU_window_save: /* arm64: the return address is signed from here, or no more */
		machine->state.signed_return_address = !machine->state.signed_return_address;
		return true;
	default:
		return execute_register(machine, opcode);
	}
}

static int machine_run(struct machine *machine)
{
	while (cursor_left(&machine->cursor) && (!machine->row || machine->pc < machine->end)) {
		if (!execute(machine) || machine->cursor.bad)
			return -EINVAL;
	}
	return 0;
}

static void cie_run(const struct rows_input *input, const struct rows_arch *arch,
		    struct cfi_cie *cie)
{
	struct frame_state remembered[REMEMBERED_MAX];
	struct machine machine = {
		.input = input,
		.arch = arch,
		.cie = cie,
		.cursor = cie->program,
		.remembered = remembered,
	};

	cie->usable = !machine_run(&machine);
	cie->initial = machine.state;
}

void cfi_cie_read(const struct rows_input *input, const struct rows_arch *arch,
		  const struct cfi_entry *entry, struct cfi_cie *ret)
{
	struct cursor cursor = entry->body;
	uint8_t version = cursor_byte(&cursor);
	const char *letters = (const char *)cursor.at;

	memset(ret, 0, sizeof(*ret));
	ret->address_size = POINTER_SIZE;
	if (version != 1 && version != 3 && version != 4)
		return;
	while (cursor_byte(&cursor))
		;
	if (cursor.bad)
		return;
	if (!strcmp(letters, "eh"))
		cursor_bytes(&cursor, POINTER_SIZE);
	if (version == 4) {
		ret->address_size = cursor_byte(&cursor);
		ret->segment_size = cursor_byte(&cursor);
		if (ret->address_size != POINTER_SIZE || ret->segment_size)
			return;
	}
	ret->code_alignment = cursor_uleb(&cursor);
	ret->data_alignment = cursor_sleb(&cursor);
	ret->ra_column = version == 1 ? cursor_byte(&cursor) : cursor_uleb(&cursor);
	if (*letters == 'z') {
		uint64_t size = cursor_uleb(&cursor);
		struct cursor data = {cursor.at, cursor.at, false};

		if (!cursor_bytes(&cursor, size))
			return;
		data.end = cursor.at;
		ret->augmented = true;
		if (!augmentation_read(input, letters + 1, &data, ret))
			return;
	} else if (*letters && strcmp(letters, "eh") != 0) {
		return;
	}
	ret->program = cursor;
	if (!cursor.bad)
		cie_run(input, arch, ret);
}

int cfi_fde_read(const struct rows_input *input, const struct cfi_cie *cie,
		 const struct cfi_entry *entry, struct cfi_fde *ret)
{
	struct cursor cursor = entry->body;
	uint64_t bytes;

	if (cie->encoding & DW_EH_PE_indirect)
		return -EINVAL;
	ret->start = encoded_pointer(input, &cursor, cie->encoding);
	/* The range is a plain number of the same size. */
	bytes = encoded_pointer(input, &cursor, cie->encoding & 0x0f);
	if (cie->augmented)
		cursor_bytes(&cursor, cursor_uleb(&cursor));
	if (cursor.bad || __builtin_add_overflow(ret->start, bytes, &ret->end))
		return -EINVAL;
	ret->program = cursor;
	return 0;
}

int cfi_run(const struct rows_input *input, const struct rows_arch *arch, const struct cfi_cie *cie,
	    const struct cfi_fde *fde, cfi_row_fn *row, void *context)
{
	struct frame_state remembered[REMEMBERED_MAX];
	struct machine machine = {
		.input = input,
		.arch = arch,
		.cie = cie,
		.cursor = fde->program,
		.state = cie->initial,
		.remembered = remembered,
		.pc = fde->start,
		.end = fde->end,
		.row = row,
		.context = context,
	};
	int error = machine_run(&machine);

	if (machine.pc < fde->end)
		row(context, machine.pc, error ? NULL : &machine.state);
	return error;
}
