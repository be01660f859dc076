//! What a gateway uses: the processor time and the memory of its process and of all that this one started.

use std::fs;
use std::time::Duration;

/// Of one moment.
pub struct Used {
    pub cpu: Duration,
    /// Bytes in RAM, what is shared counted once for each process.
    pub resident: u64,
}

/// The process `root` and all below it.
pub fn used(root: u32) -> Used {
    let mut family = vec![root];
    let all = processes();
    // A child can come before its parent in the listing.
    loop {
        let more: Vec<u32> = all
            .iter()
            .filter(|process| family.contains(&process.parent) && !family.contains(&process.id))
            .map(|process| process.id)
            .collect();
        if more.is_empty() {
            break;
        }
        family.extend(more);
    }
    let own = all.iter().filter(|process| family.contains(&process.id));
    let mut used = Used {
        cpu: Duration::ZERO,
        resident: 0,
    };
    for process in own {
        used.cpu += process.cpu;
        used.resident += process.resident;
    }
    used
}

struct Process {
    id: u32,
    parent: u32,
    cpu: Duration,
    resident: u64,
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(process)
        .collect()
}

/// proc_pid_stat(5): the fields behind the name, which may hold spaces; `schedstat` has nanoseconds where `stat` counts
/// ticks, but of the main thread alone, so each thread's is read.
fn process(id: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let threads = fs::read_dir(format!("/proc/{id}/task")).ok()?;
    let on_core: u64 = threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
        .sum();
    let pages: u64 = fields.get(21)?.parse().ok()?;
    Some(Process {
        id,
        parent: fields.get(1)?.parse().ok()?,
        cpu: Duration::from_nanos(on_core),
        resident: pages * rustix::param::page_size() as u64,
    })
}
