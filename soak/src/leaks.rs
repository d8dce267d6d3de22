//! Checks that a program does not hold more at the end than it may.

use crate::figures::Report;
use crate::proc::Holds;

/// How much memory may grow from the first window to the last one: by one part in `GROWTH.0`, and by `GROWTH.1` KiB. A
/// tunnel whose bytes are not taken holds at most 64 KiB for each direction. The number of such tunnels at a time is
/// random: 32 more of them are 4 MiB. The share allows for fragments that an allocator keeps.
const GROWTH: (u64, u64) = (5, 4096);

/// Reports the bound of a program's memory in KiB. More memory is a violation.
pub(crate) fn growth(report: &mut Report, role: &str, first: u64, end: u64) {
    let bound = first + first / GROWTH.0 + GROWTH.1;
    report.figure(format!("{role} memory bound"), bound, "KiB");
    report.require(end <= bound, || {
        format!("memory of the {role} grows from {first} to {end} KiB, beyond {bound} KiB")
    });
}

/// Reports what a program holds after all users have left. More than before is a violation.
pub(crate) fn leaks(report: &mut Report, role: &str, before: &Holds, after: &Holds) {
    report.figure(
        format!("{role} descriptors before, after"),
        format!("{} {}", before.descriptors, after.descriptors),
        "",
    );
    report.figure(
        format!("{role} threads before, after"),
        format!("{} {}", before.threads, after.threads),
        "",
    );
    report.require(after.descriptors <= before.descriptors, || {
        format!(
            "the {role} leaks descriptors: {} before, {} after all users have left",
            before.descriptors, after.descriptors
        )
    });
    report.require(after.threads <= before.threads, || {
        format!(
            "the {role} has more threads: {} before, {} after",
            before.threads, after.threads
        )
    });
}
