//! Which addresses are private, and so need a grant of their own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// The addresses one provider may be connected to. The pool asks it about every address a name resolves to.
#[derive(Debug)]
pub(crate) struct AddressGrant {
    allow_private: Vec<IpNet>,
}

impl AddressGrant {
    pub(crate) fn new(allow_private: Vec<IpNet>) -> Self {
        AddressGrant { allow_private }
    }

    /// Whether it is the grant of these networks.
    pub(crate) fn allows(&self, private: &[IpNet]) -> bool {
        self.allow_private == private
    }
}

impl weir_pool::AddressFilter for AddressGrant {
    fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.allow_private.iter().any(|network| network.contains(&address))
    }
}

/// Whether an address belongs to the public internet: not among the special purposes of RFC 6890 and its successors
/// (the IANA IPv4 and IPv6 Special-Purpose Address Registries).
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local() // the clouds' metadata services live at 169.254.169.254
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0 // "this network", RFC 791
        || a >= 240 // reserved, RFC 1112
        || (a == 100 && (64..128).contains(&b)) // carrier-grade NAT, RFC 6598
        || (a == 192 && b == 0 && c == 0) // protocol assignments, RFC 6890
        || (a == 192 && b == 88 && c == 99) // 6to4 relays, RFC 7526
        || (a == 198 && (b == 18 || b == 19))) // benchmarking, RFC 2544
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    if let Some(embedded) = embedded_v4(segments) {
        return is_public_v4(embedded);
    }
    // Global unicast is 2000::/3 alone (RFC 4291, 2.4); inside it some blocks lead elsewhere.
    let global = segments[0] & 0xe000 == 0x2000;
    let protocol_assignments = segments[0] == 0x2001 && segments[1] < 0x200; // 2001::/23, Teredo included
    let documentation =
        (segments[0] == 0x2001 && segments[1] == 0xdb8) || (segments[0] == 0x3fff && segments[1] < 0x1000);
    global && !protocol_assignments && !documentation
}

/// The IPv4 address that a translation or a tunnel would lead to: NAT64 (RFC 6052) and 6to4 (RFC 3056).
fn embedded_v4(segments: [u16; 8]) -> Option<Ipv4Addr> {
    let (high, low) = match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => (high, low),
        [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_pool::AddressFilter;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn special_addresses_are_not_public() {
        for text in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "240.0.0.1",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "2001::1",
            "::10.0.0.1",
        ] {
            assert!(!is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn the_internet_is_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn a_grant_opens_its_network_and_no_other() {
        let grant = AddressGrant::new(vec!["127.0.0.1/32".parse().unwrap()]);
        assert!(grant.permits(address("127.0.0.1")));
        assert!(
            grant.permits(address("::ffff:127.0.0.1")),
            "the same address in another form"
        );
        assert!(!grant.permits(address("127.0.0.2")));
        assert!(!grant.permits(address("::1")));
    }
}
