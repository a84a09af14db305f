/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A QEMU (7.2, plugin API 1) plugin that counts executed kernel instructions by address.
 *
 * The guest marks what is to be counted with two instructions that do nothing else,
 * `nopl MARK+k(%rax,%rax,1)`: k = 0 clears the counters, k = 1 writes them to the next file
 * PREFIX.0, PREFIX.1, … (lines "address count", "rep address count"; the last line is "user count").
 *
 * Emulation executes `rep movs` and `rep stos` once for each iteration, where hardware has one instruction. Each iteration but
 * the first begins a translation block of its own, so these are told apart by their place in the block and counted as "rep".
 *
 * QEMU's own header is not packaged by Debian 12, so what is used of it is declared here.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
typedef uint64_t plugin_id;
enum { CB_NO_REGS = 0, INLINE_ADD_U64 = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*cb)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, void (*cb)(unsigned int, void *), int flags,
					    void *userdata);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op, void *ptr, uint64_t imm);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

API int qemu_plugin_version = 1;

#define MARK 0x4f565330u /* "OVS0" */

/* Counters never move: translated code holds their addresses. Pages of 512, chained by hash. */
enum { PER_PAGE = 4096, HASH = 1 << 16 };
struct page {
	uint64_t base, count[PER_PAGE], iterations[PER_PAGE];
	struct page *next;
};
static struct page *pages[HASH];
static uint64_t user;
static const char *prefix = "count";
static unsigned int dumps;

static struct page *page_of(uint64_t address)
{
	uint64_t base = address & ~(uint64_t)(PER_PAGE - 1);
	struct page **slot = &pages[(base / PER_PAGE * 0x9e3779b97f4a7c15u) >> 48];

	while (*slot && (*slot)->base != base)
		slot = &(*slot)->next;
	if (!*slot) {
		*slot = calloc(1, sizeof(**slot));
		(*slot)->base = base;
	}
	return *slot;
}

static void on_mark(unsigned int cpu, void *stop)
{
	char name[4096];
	FILE *out = NULL;

	(void)cpu;
	if (stop) {
		snprintf(name, sizeof(name), "%s.%u", prefix, dumps++);
		out = fopen(name, "w");
	}
	for (size_t i = 0; i < HASH; i++)
		for (struct page *p = pages[i]; p; p = p->next)
			for (size_t k = 0; k < PER_PAGE; k++) {
				if (out && p->count[k])
					fprintf(out, "%016" PRIx64 " %" PRIu64 "\n", p->base + k, p->count[k]);
				if (out && p->iterations[k])
					fprintf(out, "rep %016" PRIx64 " %" PRIu64 "\n", p->base + k, p->iterations[k]);
				p->count[k] = p->iterations[k] = 0;
			}
	if (out) {
		fprintf(out, "user %" PRIu64 "\n", user);
		fclose(out);
	}
	user = 0;
}

/* A string instruction under a repeat prefix: prefixes in any order, then one of movs, cmps, stos, lods, scas, ins, outs. */
static bool repeats(const unsigned char *code, size_t size)
{
	bool rep = false;

	for (; size; code++, size--) {
		if (*code == 0xf2 || *code == 0xf3)
			rep = true;
		else if (*code != 0x66 && *code != 0x67 && (*code & 0xf0) != 0x40)
			return rep && ((*code >= 0xa4 && *code <= 0xa7) || (*code >= 0xaa && *code <= 0xaf) ||
				       (*code >= 0x6c && *code <= 0x6f));
	}
	return false;
}

static void on_translate(plugin_id id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t address = qemu_plugin_insn_vaddr(insn);
		const unsigned char *code = qemu_plugin_insn_data(insn);
		uint32_t operand;

		if (address >> 63) {
			struct page *p = page_of(address);
			bool again = i == 0 && repeats(code, qemu_plugin_insn_size(insn));
			uint64_t *n = again ? p->iterations : p->count;

			qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, &n[address - p->base], 1);
			continue;
		}
		qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, &user, 1);
		if (qemu_plugin_insn_size(insn) == 8 && !memcmp(code, "\x0f\x1f\x84\x00", 4)) {
			memcpy(&operand, code + 4, sizeof(operand));
			if (operand == MARK || operand == MARK + 1)
				qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, CB_NO_REGS,
								       operand == MARK ? NULL : &dumps);
		}
	}
}

API int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++)
		if (!strncmp(argv[i], "prefix=", 7))
			prefix = strdup(argv[i] + 7);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	return 0;
}
