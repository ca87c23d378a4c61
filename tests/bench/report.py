"""The benchmark's rows, and what is made of their figures: a table, JSON, and a plot."""
import html
import json
import math
import os

BOTHY, XEN = "#2a7f62", "#b9b9b9"
# What finding an instruction's length costs Xen on a CPU that doesn't tell it, such as this emulator's: 4,794 to 4,827 by four kinds of exits.
XEN_LENGTH = 4800


class Row:
    """`name` in the figures; `what` it is; limits; `lengths`: the instructions in it whose length has to be found."""

    def __init__(self, name, what, function=None, budget=None, goal=None, lengths=None, more_is_better=False, form="{:,.0f}", unit="instructions"):
        self.name, self.what, self.function, self.budget, self.goal, self.lengths = name, what, function, budget, goal, lengths
        self.more_is_better, self.form, self.unit = more_is_better, form, unit

    def show(self, value):
        return "-" if value is None else self.form.format(value)


# In the order of the guest, bench.c, and with its function there: instructions of each.
OPERATIONS = [
    Row("port_read", "unhandled port read", "port_read", 300, 250, 0),
    Row("xen_version", "null hypercall (xen_version)", "xen_version", 300, 170, 1),
    Row("cpuid", "CPUID exit, leaf 0", "cpuid_leaf_0", 300, 170, 1),
    Row("cpuid_7", "CPUID exit, leaf 7", "cpuid_leaf_7", None, None, 1),
    Row("rdmsr_apic_id", "RDMSR exit, x2APIC ID", "rdmsr_apic_id", None, None, 1),
    Row("wrmsr_tpr", "WRMSR exit, x2APIC TPR", "wrmsr_tpr", None, None, 1),
    Row("wrmsr_eoi", "WRMSR exit, x2APIC EOI", "wrmsr_eoi", None, None, 1),
    Row("query_size", "grant query_size", "query_size", None, 900, 1),
    Row("get_param", "hvm_op get_param", "get_hvm_param", None, 900, 1),
    Row("set_timer", "set_singleshot_timer", "set_timer", None, 900, 1),
    Row("notify_self", "self-notification delivered", "notify_self", 1200, 1000, 1),
    Row("unmask", "evtchn unmask, nothing pending", "unmask_port", None, None, 1),
    Row("yield", "sched yield, nobody else", "yield", None, None, 1),
    Row("exchange_page", "one page: decrease + populate", "exchange_page", None, None, 2),
    Row("copy_page", "grant copy, one page", "copy_page", None, None, 1),
    Row("map_unmap", "grant map + unmap, one page", "map_unmap", None, None, 2),
    Row("ping_pong", "IPI to a halted vCPU, and back", "ping_pong", None, None, 6),
    Row("map_unmap_64", "grant map + unmap, 64 pages", "map_unmap_64", None, None, 2),
    Row("copy_64", "grant copy, 64 pages", "copy_64", None, None, 1),
    Row("event_and_back", "event to a guest, and back", "event_and_back", None, None, 4),
    Row("apic_read", "xAPIC read, by memo", "apic_read", 700, None, 1),
    Row("apic_eoi", "xAPIC EOI, by memo", "apic_eoi", 750, None, 1),
    Row("hole_store", "store where nothing is, by memo", "hole_store", None, None, 1),
    Row("hole_or", "OR where nothing is, by the keeper", "hole_or", None, None, 1),
]
MEASURED_APART = [
    Row("switch", "yield and switch to a guest", "measure_switch", None, None, 1),
    Row("timer_late", "timer: from its time, out of HLT", "measure_timer"),
    Row("work", "work that needs nothing of anybody", "work"),
]


def nrip(row, xen):
    """Xen's figure as it would be on a CPU that tells the length of the instruction that exits."""
    return xen - row.lengths * XEN_LENGTH if xen is not None and row.lengths else None


def ratio(a, b):
    return "-" if a is None or not b else "%.2f" % (a / b)


def verdict(row, mine, its):
    """What a reader should look at."""
    if mine is None:
        return ""
    if row.budget and mine > row.budget:
        return "  over budget"
    if row.goal and mine > row.goal:
        return "  over goal"
    # Within a hundredth they are the same.
    if its and (mine < 0.99 * its if row.more_is_better else mine > 1.01 * its):
        return "  worse than Xen"
    return ""


def micro_table(bothy, xen):
    form = "%-34s %9s %9s %6s %10s %6s %7s %7s"
    out = [form % ("instructions for each operation", "Bothy", "Xen 4.17", "ratio", "Xen, NRIP", "ratio", "budget", "goal")]
    for row in OPERATIONS + MEASURED_APART[:2]:
        mine, its = bothy.get(row.name), xen.get(row.name)
        short = nrip(row, its)
        out.append(form % (row.what, row.show(mine), row.show(its), ratio(mine, its), row.show(short), ratio(mine, short), row.show(row.budget),
                           row.show(row.goal)) + verdict(row, mine, short or its))
    return out


def work_table(figures):
    form = "%-34s %13s %13s %13s %9s %9s"
    work = [figures.get(w, {}).get("micro", {}).get("work") for w in ("none", "bothy", "xen")]
    if work[0] is None:
        return []
    loss = ["-" if w is None else "%+.3f %%" % (100 * (w / work[0] - 1)) for w in work[1:]]
    return ["", form % ("work that needs nothing of anybody", "bare machine", "Bothy", "Xen 4.17", "Bothy", "Xen"),
            form % (("instructions until it is done",) + tuple("-" if w is None else "{:,}".format(w) for w in work) + tuple(loss))]


def system_table(rows, bothy, xen):
    form = "%-46s %10s %10s %6s"
    out = ["", form % ("the whole system", "Bothy", "Xen 4.17", "ratio")]
    for row in rows:
        mine, its = bothy.get(row.name), xen.get(row.name)
        if mine is not None or its is not None:
            out.append(form % (row.what, row.show(mine), row.show(its), ratio(mine, its)) + verdict(row, mine, its))
    return out if len(out) > 2 else []


def bars(rows, bothy, xen):
    """Bars side by side, on a logarithmic scale: what fits neither in a thousand nor in ten thousand can be seen too."""
    shown = [r for r in rows if bothy.get(r.name) and xen.get(r.name)]
    most = max([max(bothy[r.name], xen[r.name]) for r in shown] or [1000])
    left, wide, high = 230, 420, 34
    scale = wide / (math.log10(most) - 2)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">' % (
        left + wide + 90, 40 + high * len(shown)), '<rect width="100%" height="100%" fill="#fff"/>',
        '<text x="8" y="18" font-weight="bold">Instructions for each operation (logarithmic)</text>']
    for x, colour, name in ((330, BOTHY, "Bothy"), (400, XEN, "Xen 4.17")):
        out.append('<rect x="%d" y="9" width="10" height="10" fill="%s"/><text x="%d" y="18">%s</text>' % (x, colour, x + 14, name))
    for i, row in enumerate(shown):
        y = 32 + i * high
        out.append('<text x="8" y="%d">%s</text>' % (y + 17, html.escape(row.what)))
        for dy, value, colour in ((0, bothy[row.name], BOTHY), (13, xen[row.name], XEN)):
            length = max(1, (math.log10(max(value, 100)) - 2) * scale)
            out.append('<rect x="%d" y="%d" width="%.1f" height="12" fill="%s"/><text x="%.1f" y="%d" font-size="10">%s</text>' % (
                left, y + dy, length, colour, left + length + 4, y + dy + 10, row.show(value)))
    return "\n".join(out + ["</svg>"]) + "\n"


def lines(series, title):
    """One line for each hypervisor through its points: [(name, colour, [(guests, seconds)])]."""
    series = [s for s in series if len(s[2]) > 1]
    if not series:
        return None
    left, top, wide, high = 60, 40, 560, 260
    most_x = max(x for _, _, points in series for x, _ in points)
    most_y = math.ceil(max(y for _, _, points in series for _, y in points) * 10) / 10
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">' % (left + wide + 40, top + high + 50),
           '<rect width="100%" height="100%" fill="#fff"/>', '<text x="8" y="18" font-weight="bold">%s</text>' % html.escape(title)]
    for i in range(5):
        y = top + high - high * i / 4
        out.append('<path d="M%d %.1fh%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.2f</text>' % (
            left, y, wide, left - 6, y + 4, most_y * i / 4))
    for i in range(5):
        out.append('<text x="%.1f" y="%d" text-anchor="middle">%d</text>' % (left + wide * i / 4, top + high + 18, most_x * i / 4))
    out.append('<text x="%d" y="%d" text-anchor="middle">guests that run</text>' % (left + wide / 2, top + high + 38))
    for i, (name, colour, points) in enumerate(series):
        path = " ".join("%.1f,%.1f" % (left + wide * x / most_x, top + high - high * y / most_y) for x, y in points)
        out.append('<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>' % (path, colour))
        out.append('<rect x="%d" y="%d" width="10" height="10" fill="%s"/><text x="%d" y="%d">%s</text>' % (
            left + 10, top + 6 + 16 * i, colour, left + 24, top + 15 + 16 * i, html.escape(name)))
    return "\n".join(out + ["</svg>"]) + "\n"


def tables(figures, system_rows):
    """What is printed, from {hypervisor: {part: {name: value}}}."""
    bothy, xen = figures.get("bothy", {}), figures.get("xen", {})
    text = micro_table(bothy.get("micro", {}), xen.get("micro", {})) + work_table(figures)
    return "\n".join(text + system_table(system_rows, bothy.get("system", {}), xen.get("system", {}))) + "\n"


def write(out, figures, system_rows):
    """The same in files of the folder `out`: bench.txt, bench.json, bench.svg and the curves of many guests; the tables' text."""
    bothy, xen = figures.get("bothy", {}), figures.get("xen", {})
    rows = []
    for part, those in (("micro", OPERATIONS + MEASURED_APART), ("system", system_rows)):
        for r in those:
            mine, its, bare = (figures.get(w, {}).get(part, {}).get(r.name) for w in ("bothy", "xen", "none"))
            if mine is None and its is None:
                continue
            rows.append({"part": part, "name": r.name, "what": r.what, "unit": r.unit, "bothy": mine, "xen": its, "xen_nrip": nrip(r, its), "bare": bare,
                         "ratio": mine / its if mine is not None and its else None, "more_is_better": r.more_is_better, "budget": r.budget, "goal": r.goal})
    files = {"bench.txt": tables(figures, system_rows), "bench.json": json.dumps(rows, indent=1) + "\n",
             "bench.svg": bars(OPERATIONS + MEASURED_APART[:2], bothy.get("micro", {}), xen.get("micro", {}))}
    for kind, title in (("created", "Seconds of the machine for xl create -p of one more guest"), ("first", "Seconds from xl create to the guest's first instruction")):
        files["guests-%s.svg" % kind] = lines([(name, colour, [(n, v) for n, v in f.get("series", {}).get(kind, [])])
                                               for name, colour, f in (("Bothy", BOTHY, bothy), ("Xen 4.17", "#8a8a8a", xen))], title)
    for name, contents in files.items():
        if contents:
            with open(os.path.join(out, name), "w") as f:
                f.write(contents)
    return files["bench.txt"]
