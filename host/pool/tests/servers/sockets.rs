//! The sockets there really are, as Linux counts them.
//!
//! Tests of one program run side by side, so its descriptors as a whole say little about one pool; those that lead to the
//! port of one server do.

use std::collections::HashSet;
use std::fs;

/// A row of `/proc/net/tcp`.
struct Row {
    local_port: u16,
    remote_port: u16,
    state: u8,
    inode: u64,
}

/// The state of a connection whose two ends are open (`include/net/tcp_states.h`).
const ESTABLISHED: u8 = 1;

/// How many descriptors of this process are TCP sockets that lead to `port`, in whatever state.
pub fn held_to(port: u16) -> usize {
    let held: HashSet<u64> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| {
            // Gone since the folder was read, or the folder itself.
            let target = fs::read_link(entry.ok()?.path()).ok()?;
            target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?
                .parse()
                .ok()
        })
        .collect();
    rows()
        .filter(|row| row.remote_port == port && held.contains(&row.inode))
        .count()
}

/// How many connections the server at `port` has open at both ends.
pub fn established_at(port: u16) -> usize {
    rows()
        .filter(|row| row.local_port == port && row.state == ESTABLISHED)
        .count()
}

fn rows() -> impl Iterator<Item = Row> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows: Vec<_> = table.lines().skip(1).filter_map(row).collect();
    rows.into_iter()
}

/// `sl local_address rem_address st tx_queue:rx_queue tr:when retrnsmt uid timeout inode …`, numbers in hexadecimal up to
/// the state.
fn row(line: &str) -> Option<Row> {
    let mut fields = line.split_whitespace().skip(1);
    let port = |field: Option<&str>| u16::from_str_radix(field?.split_once(':')?.1, 16).ok();
    Some(Row {
        local_port: port(fields.next())?,
        remote_port: port(fields.next())?,
        state: u8::from_str_radix(fields.next()?, 16).ok()?,
        inode: fields.nth(5)?.parse().ok()?,
    })
}
