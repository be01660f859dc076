//! What the operating system says is open.

/// Sockets that a descriptor holds: those connected to `port`, and those that it accepted.
///
/// The count is of one port and not of the process's descriptors, since other tests run in the same process.
#[cfg(target_os = "linux")]
pub fn held(port: u16) -> (usize, usize) {
    const LISTENING: &str = "0A";
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let suffix = format!(":{port:04X}");
    let (mut towards, mut accepted) = (0, 0);
    for row in table.lines().skip(1) {
        let columns: Vec<_> = row.split_whitespace().collect();
        let (local, remote, state, inode) = (columns[1], columns[2], columns[3], columns[9]);
        // A socket that only waits for late packets belongs to nobody.
        if inode == "0" || state == LISTENING {
            continue;
        }
        towards += usize::from(remote.ends_with(&suffix));
        accepted += usize::from(local.ends_with(&suffix));
    }
    (towards, accepted)
}
