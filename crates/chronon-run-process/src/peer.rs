//! Whose the other end of a loopback connection is. Linux lists every TCP socket with its owner.

use std::{fs, net::SocketAddr, path::Path};

/// Sockets of IPv4, and those of IPv6, among which are Java's, whatever they are used for.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// Whether the socket at `other`, which is connected to the one of this process at `own`, is of one of `users`,
/// or the system does not list sockets. Both are addresses of IPv4 on this machine; one that has closed its
/// socket is of no user.
#[must_use]
pub fn is_peer_of(own: SocketAddr, other: SocketAddr, users: &[u32]) -> bool {
    if !Path::new(TABLES[0]).exists() {
        return true;
    }
    let owner = TABLES.iter().find_map(|table| {
        let table = fs::read_to_string(table).ok()?;
        owner(&table, other, own)
    });
    owner.is_some_and(|owner| users.contains(&owner))
}

/// The user of the socket at `from` that is connected to `to`. One that its process has closed has no inode
/// and shows root as its owner: it counts as none.
fn owner(table: &str, from: SocketAddr, to: SocketAddr) -> Option<u32> {
    let (from, to) = (place(from)?, place(to)?);
    let mapped = word([0, 0, 0xff, 0xff]);
    let is = |field: &str, place: &str| {
        let bare = field.strip_prefix("0000000000000000");
        let bare = bare.and_then(|rest| rest.strip_prefix(mapped.as_str()));
        bare.unwrap_or(field) == place
    };
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = is(fields.get(1)?, &from) && is(fields.get(2)?, &to) && *fields.get(9)? != "0";
        is_it.then(|| fields.get(7)?.parse().ok()).flatten()
    })
}

/// An address as the tables write it; none of IPv6.
fn place(address: SocketAddr) -> Option<String> {
    match address {
        SocketAddr::V4(address) => Some(format!(
            "{}:{:04X}",
            word(address.ip().octets()),
            address.port()
        )),
        SocketAddr::V6(_) => None,
    }
}

/// Addresses are words of 32 bits in this machine's order.
fn word(four: [u8; 4]) -> String {
    format!("{:08X}", u32::from_ne_bytes(four))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::User;

    #[test]
    fn the_other_end_s_user_is_known() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let own = User::current().uid;
        let is_of = |connection: &TcpStream, users: &[u32]| {
            let (here, there) = (connection.local_addr(), connection.peer_addr());
            is_peer_of(here.unwrap(), there.unwrap(), users)
        };
        assert!(is_of(&connection, &[own]));
        assert!(!is_of(&connection, &[own + 1]));
        assert!(is_of(&accepted, &[7, own]));
        drop(accepted);
        assert!(!is_of(&connection, &[0, own]), "it is closed");
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn both_addresses_count_and_java_s_are_known() {
        let table = "  sl  local_address rem_address st\n\
            0: 0200007F:1F90 0100007F:C000 01 00000000:00000000 00:00000000 00000000 65534 0 11 1\n\
            1: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:C000 01 0:0 0:0 0 1000 0 12 1\n\
            2: 0100007F:1F91 0100007F:C000 06 0:0 0:0 0 0 0 0 1\n";
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let to = at("127.0.0.1:49152");
        assert_eq!(owner(table, at("127.0.0.1:8080"), to), Some(1000));
        assert_eq!(owner(table, at("127.0.0.2:8080"), to), Some(65534));
        assert_eq!(owner(table, at("127.0.0.1:8081"), to), None);
        assert_eq!(owner(table, at("127.0.0.3:8080"), to), None);
    }
}
