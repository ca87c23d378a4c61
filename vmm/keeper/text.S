/* The keeper's program, as the build has made it. */
	.section .rodata
	.globl keeper_text, keeper_text_end
	.balign 8
keeper_text:
	.incbin "keeper.bin"
keeper_text_end:
	.section .note.GNU-stack, "", @progbits
