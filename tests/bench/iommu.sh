#!/bin/bash
# In the service domain: what an IOMMU makes dearer there. Lines for tests/bench/iommu.py:
#   GRANTS pages map unmap both
printf 'name = "lender"\ntype = "pvh"\nmemory = 8\nkernel = "/bench/small.elf"\n' >/tmp/lender.cfg
xl create -q -p /tmp/lender.cfg || exit 1
# The toolstack has lent the page of its console, as entry 0.
/bench/grants "$(xl domid lender)" 0
xl destroy lender
