# build/bothy.efi: the hypervisor and a loader for UEFI in one file, with Debian's gnu-efi (its start-up code and linker script only).

EFI_OUT := $(BUILD)/efi
EFI_CFLAGS := -std=gnu11 -O2 -ffreestanding -fpic -fshort-wchar -mno-red-zone -mgeneral-regs-only -fno-stack-protector -fno-strict-aliasing \
	-fcf-protection=none -fno-asynchronous-unwind-tables -ffile-prefix-map=$(CURDIR)=. -DGNU_EFI_USE_MS_ABI \
	-Wall -Wextra -Werror -Wstrict-prototypes -Wundef -Wshadow -Wvla -I. -isystem /usr/include/efi -isystem /usr/include/efi/x86_64
EFI_OBJECTS := $(patsubst %,$(EFI_OUT)/%.o,efi/main efi/config efi/information efi/jump lib/elf lib/printf lib/string)

$(EFI_OUT)/%.o: %.c efi/efi.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(EFI_CFLAGS) -include lib/base.h -MMD -MP -c $< -o $@

$(EFI_OUT)/efi/jump.o: efi/jump.S efi/efi.mk $(IMAGE)
	@mkdir -p $(@D)
	$(Q)$(CC) -DHYPERVISOR='"$(IMAGE)"' -c $< -o $@

# Linked as a shared object, which the start-up code relocates by itself; then its sections are put into a PE file.
$(BUILD)/bothy.efi: $(EFI_OBJECTS)
	$(Q)ld -nostdlib -znocombreloc -shared -Bsymbolic -T /usr/lib/elf_x86_64_efi.lds /usr/lib/crt0-efi-x86_64.o $(EFI_OBJECTS) \
		/usr/lib/libgnuefi.a -o $(EFI_OUT)/bothy.so
	$(Q)objcopy -S -j .text -j .sdata -j .data -j .dynamic -j .dynsym -j .rel -j .rela -j .reloc --output-target=efi-app-x86_64 \
		--subsystem=10 $(EFI_OUT)/bothy.so $@
	@sha256sum $@

-include $(EFI_OBJECTS:.o=.d)
