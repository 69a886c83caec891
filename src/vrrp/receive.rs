//! Is this advert ours and sound? RFC 9568 §7.1, in keepalived's order, with its counters.

use std::net::IpAddr;

use crate::addr::Family;
use crate::model::vrrp::{Authentication, Destination, Instance, OldUnicastChecksum, Version};
use crate::time::Centis;
use crate::wire::ipv4::Header;
use crate::wire::vrrp::{Advert, ParseError, TYPE_ADVERTISEMENT, is_padded};

use super::io::{PacketMeta, Statistics};
use super::report::Flaw;
use super::routine::same_bytes;

/// The only TTL an advert may arrive with by multicast.
const TTL: u8 = 255;

/// A datagram as far as it has been taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram<'a> {
    pub(crate) meta: PacketMeta,
    /// IPv4 only.
    pub(crate) header: Option<Header>,
    /// All of it.
    pub(crate) len: usize,
    /// Behind the IP header.
    pub(crate) payload: &'a [u8],
}

/// What an instance knows that bears on the checks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expectations<'a> {
    pub(crate) config: &'a Instance,
    /// Peers are known to use the old unicast checksum.
    pub(crate) old_checksum: bool,
    /// Effective priority is 255 (and not lowered).
    pub(crate) is_owner: bool,
    /// BACKUP, and the packet is from the master it follows.
    pub(crate) from_known_master: bool,
}

/// An accepted advert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) source: IpAddr,
    pub(crate) priority: u8,
    /// The sender's interval: VRRPv3's field, VRRPv2's own interval.
    pub(crate) interval: Centis,
    /// IPv4 identification.
    pub(crate) id: Option<u16>,
    /// The checksum is of the old form, and the instance is to switch to it.
    pub(crate) adopt_old_checksum: bool,
    /// What is wrong with it all the same.
    pub(crate) flaws: Vec<Flaw>,
}

/// All checks, in order; counts what it finds.
pub(crate) fn inspect(
    datagram: &Datagram<'_>,
    expect: Expectations<'_>,
    statistics: &mut Statistics,
) -> Result<Heard, Flaw> {
    let heard = checked(datagram, expect);
    match &heard {
        Ok(heard) => {
            statistics.advert_rcvd += 1;
            statistics.pri_zero_rcvd += u64::from(heard.priority == 0);
            heard.flaws.iter().for_each(|&flaw| count(statistics, flaw));
        }
        Err(flaw) => {
            // the source is checked after the packet has been counted
            let counted = matches!(flaw, Flaw::NotAPeer | Flaw::PeerTtl { .. });
            statistics.advert_rcvd += u64::from(counted);
            count(statistics, *flaw);
        }
    }
    heard
}

fn checked(datagram: &Datagram<'_>, expect: Expectations<'_>) -> Result<Heard, Flaw> {
    let config = expect.config;
    let meta = &datagram.meta;
    let advert = parse(datagram, config)?;
    let multicast = matches!(config.destination, Destination::Multicast(_));
    let ttl = datagram.header.map(|header| header.ttl).or(meta.hop_limit);
    if multicast && let Some(ttl) = ttl.filter(|&ttl| ttl != TTL) {
        return Err(Flaw::Ttl(ttl));
    }
    let ours = config.version.number();
    if advert.version != ours {
        return Err(Flaw::Version { theirs: advert.version, ours });
    }
    if config.version == Version::V2 {
        check_version_2(&advert, config)?;
    }
    if advert.kind != TYPE_ADVERTISEMENT {
        return Err(Flaw::Type(advert.kind));
    }
    if let Some(header) = datagram.header {
        let (said, have) = (header.total_len, datagram.len);
        if said != have && !(is_padded(have, said) && have <= 46) {
            return Err(Flaw::TotalLength { said, have });
        }
    }
    let destination = datagram.header.map(|header| IpAddr::V4(header.destination)).or(meta.destination);
    let adopt_old_checksum = check_checksum(&advert, expect, meta.source, destination)?;
    if let Some(destination) = destination
        && destination.is_multicast() != multicast
    {
        return Err(Flaw::Cast { multicast: destination.is_multicast() });
    }
    if config.owner_ignore_adverts && expect.is_owner {
        return Err(Flaw::Owner);
    }
    check_peer(config, meta.source, ttl)?;

    let interval = match config.version {
        Version::V2 => config.advert_interval,
        // an interval of nothing would make us MASTER at once
        Version::V3 if advert.max_advertise() == Centis(0) => config.advert_interval,
        Version::V3 => advert.max_advertise(),
    };
    let id = datagram.header.map(|header| header.id);
    let flaws = tolerated(&advert, expect);
    Ok(Heard { source: meta.source, priority: advert.priority, interval, id, adopt_old_checksum, flaws })
}

fn parse<'a>(datagram: &Datagram<'a>, config: &Instance) -> Result<Advert<'a>, Flaw> {
    let header_len = datagram.header.map_or(0, |header| header.header_len);
    if datagram.header.is_some_and(|header| header.protocol == crate::wire::ipv4::PROTOCOL_AH) {
        return Err(Flaw::AuthHeader);
    }
    Advert::parse(config.family, header_len, datagram.payload).map_err(|error| match error {
        ParseError::Truncated { .. } => Flaw::Length { have: datagram.len, expected: header_len + 8 },
        ParseError::Length { have, expected } => Flaw::Length { have, expected },
    })
}

fn check_version_2(advert: &Advert<'_>, config: &Instance) -> Result<(), Flaw> {
    let theirs = advert.auth_type();
    if theirs > 2 {
        return Err(Flaw::InvalidAuthType(theirs));
    }
    let ours = match config.authentication {
        Authentication::None => 0,
        Authentication::Pass(_) => 1,
    };
    if theirs != ours {
        return Err(Flaw::AuthType { theirs, ours });
    }
    if let Authentication::Pass(password) = config.authentication
        // VRRPv2 over IPv6 carries no password
        && config.family == Family::V4
        && !same_bytes(advert.auth_data(), &password)
    {
        return Err(Flaw::Password);
    }
    let ours = config.advert_interval.0 / 100;
    if u16::from(advert.adver_secs()) != ours {
        return Err(Flaw::Interval { theirs: advert.adver_secs(), ours });
    }
    Ok(())
}

/// Says whether the old unicast checksum is to be adopted.
fn check_checksum(
    advert: &Advert<'_>,
    expect: Expectations<'_>,
    source: IpAddr,
    destination: Option<IpAddr>,
) -> Result<bool, Flaw> {
    let config = expect.config;
    let (Family::V4, Some(destination)) = (config.family, destination) else { return Ok(false) };
    let wrong = Err(Flaw::Checksum(advert.version));
    if config.version == Version::V2 {
        return if advert.checksum_holds() { Ok(false) } else { wrong };
    }
    let is_normal = || advert.checksum_holds_between(source, destination);
    if config.v3_checksum_as_v2 {
        return if advert.checksum_holds() || is_normal() { Ok(false) } else { wrong };
    }
    let unicast = matches!(config.destination, Destination::Unicast(_));
    let is_old = || unicast && advert.checksum_holds_between(source, super::OLD_CHECKSUM_GROUP);
    if expect.old_checksum {
        return if is_old() { Ok(false) } else { wrong };
    }
    if is_normal() {
        return Ok(false);
    }
    if config.old_unicast_checksum == OldUnicastChecksum::Auto && is_old() { Ok(true) } else { wrong }
}

fn check_peer(config: &Instance, source: IpAddr, ttl: Option<u8>) -> Result<(), Flaw> {
    let Destination::Unicast(unicast) = &config.destination else { return Ok(()) };
    if !unicast.check_source {
        return Ok(());
    }
    let Some(peer) = unicast.peers.iter().find(|peer| peer.address == source) else {
        return Err(Flaw::NotAPeer);
    };
    match ttl {
        Some(ttl) if ttl < peer.min_ttl || ttl > peer.max_ttl => {
            Err(Flaw::PeerTtl { ttl, min: peer.min_ttl, max: peer.max_ttl })
        }
        _ => Ok(()),
    }
}

/// What keepalived complains about and accepts.
fn tolerated(advert: &Advert<'_>, expect: Expectations<'_>) -> Vec<Flaw> {
    let config = expect.config;
    let mut flaws = Vec::new();
    if config.version == Version::V3 && advert.max_advertise() != config.advert_interval {
        flaws.push(Flaw::IntervalDiffers { theirs: advert.max_advertise(), ours: config.advert_interval });
    }
    let ours = || config.addresses.iter().map(|address| address.cidr.address);
    let count = u8::try_from(config.addresses.len()).unwrap_or(u8::MAX);
    if advert.count != count {
        flaws.push(Flaw::AddressCount { theirs: advert.count, ours: count });
    }
    let skip = expect.from_known_master && config.skip_check_adv_addr;
    if !skip
        && !advert.addresses().eq(ours())
        && let Some(address) = ours().find(|&address| !advert.addresses().any(|theirs| theirs == address))
    {
        flaws.push(Flaw::AddressMissing { address, vrid: config.vrid });
    }
    flaws
}

fn count(statistics: &mut Statistics, flaw: Flaw) {
    let counter = match flaw {
        Flaw::AuthHeader | Flaw::AuthType { .. } => &mut statistics.authtype_mismatch,
        Flaw::Length { .. } | Flaw::TotalLength { .. } => &mut statistics.packet_len_err,
        Flaw::Ttl(_) | Flaw::PeerTtl { .. } => &mut statistics.ip_ttl_err,
        Flaw::Version { .. } => &mut statistics.vers_err,
        Flaw::InvalidAuthType(_) => &mut statistics.invalid_authtype,
        Flaw::Password => &mut statistics.auth_failure,
        Flaw::Interval { .. } => &mut statistics.advert_interval_err,
        Flaw::Type(_) => &mut statistics.invalid_type_rcvd,
        Flaw::Checksum(_) => &mut statistics.chk_err,
        Flaw::Cast { .. } | Flaw::AddressCount { .. } | Flaw::AddressMissing { .. } => &mut statistics.addr_list_err,
        Flaw::Owner | Flaw::NotAPeer | Flaw::IntervalDiffers { .. } => return,
    };
    *counter += 1;
}

#[cfg(test)]
mod tests;
