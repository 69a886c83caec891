//! The messages: a command with what it is about.

use rtnetlink::packet_core::{DecodeError, DefaultNla, Emitable, NLA_F_NESTED, Nla, NlaBuffer, Parseable, parse_u32};

use super::daemon::DaemonAttribute;
use super::dest::{self, DestAttribute};
use super::service::{self, ServiceAttribute};
use super::{Daemon, DaemonState, Dest, DestKey, Service, ServiceKey, Timeouts};
use crate::wire::genl::{GenlMessage, append_each, attributes_of, nest};

/// The family's name.
pub const FAMILY: &str = "IPVS";
/// The family's version.
const VERSION: u8 = 1;

const IPVS_CMD_ATTR_SERVICE: u16 = 1;
const IPVS_CMD_ATTR_DEST: u16 = 2;
const IPVS_CMD_ATTR_DAEMON: u16 = 3;
const IPVS_CMD_ATTR_TIMEOUT_TCP: u16 = 4;
const IPVS_CMD_ATTR_TIMEOUT_TCP_FIN: u16 = 5;
const IPVS_CMD_ATTR_TIMEOUT_UDP: u16 = 6;

/// `IPVS_CMD_*`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Command {
    /// Also what a dump of services tells.
    NewService = 1,
    /// Changes one, and keeps its connections.
    SetService,
    /// With all its destinations.
    DelService,
    /// One, or with NLM_F_DUMP all.
    GetService,
    /// Also what a dump of destinations tells.
    NewDest,
    /// Changes one, and keeps its connections.
    SetDest,
    /// Takes one out.
    DelDest,
    /// Those of a service; with NLM_F_DUMP only.
    GetDest,
    /// Starts a sync daemon; also what a dump of them tells.
    NewDaemon,
    /// Stops one.
    DelDaemon,
    /// Those that run; with NLM_F_DUMP only.
    GetDaemon,
    /// Sets timeouts; also what the kernel tells of them.
    SetConfig,
    /// Asks for timeouts.
    GetConfig,
    /// What the kernel tells of itself.
    SetInfo,
    /// Asks for version and size.
    GetInfo,
    /// Sets counters to 0: of one service, or of all.
    Zero,
    /// Takes everything out.
    Flush,
}

/// What a message is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IpvsAttribute {
    /// `IPVS_CMD_ATTR_SERVICE`
    Service(Vec<ServiceAttribute>),
    /// `IPVS_CMD_ATTR_DEST`
    Dest(Vec<DestAttribute>),
    /// `IPVS_CMD_ATTR_DAEMON`
    Daemon(Vec<DaemonAttribute>),
    /// `IPVS_CMD_ATTR_TIMEOUT_TCP`, in seconds.
    TimeoutTcp(u32),
    /// `IPVS_CMD_ATTR_TIMEOUT_TCP_FIN`, in seconds.
    TimeoutTcpFin(u32),
    /// `IPVS_CMD_ATTR_TIMEOUT_UDP`, in seconds.
    TimeoutUdp(u32),
    /// What newer kernels have.
    Other(DefaultNla),
}

/// A command about a service or one of its destinations. There may be very many of them, so they are not made of
/// attributes in memory before they are written.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is to be done.
    pub command: Command,
    /// Which service; for a destination its key is enough.
    pub service: &'a ServiceKey,
    /// What the service is to be like.
    pub settings: Option<&'a Service>,
    /// Which destination, and what it is to be like.
    pub dest: Option<(&'a DestKey, Option<&'a Dest>)>,
}

impl<'a> Request<'a> {
    /// About a service; only what makes or changes one needs `settings`.
    pub const fn service(command: Command, service: &'a ServiceKey, settings: Option<&'a Service>) -> Self {
        Self { command, service, settings, dest: None }
    }

    /// About a destination; only what makes or changes one needs `settings`.
    pub const fn dest(
        command: Command,
        service: &'a ServiceKey,
        dest: &'a DestKey,
        settings: Option<&'a Dest>,
    ) -> Self {
        Self { command, service, settings: None, dest: Some((dest, settings)) }
    }

    /// Appends it with a netlink header of this type, flags and sequence number.
    pub fn append(&self, buffer: &mut Vec<u8>, header: (u16, u16, u32)) {
        append_each(buffer, header, (self.command as u8, VERSION), |buffer| {
            nest(buffer, IPVS_CMD_ATTR_SERVICE, |buffer| {
                service::put_key(buffer, self.service);
                if let Some(settings) = self.settings {
                    service::put_settings(buffer, self.service.family(), settings);
                }
            });
            if let Some((key, settings)) = self.dest {
                nest(buffer, IPVS_CMD_ATTR_DEST, |buffer| {
                    dest::put_key(buffer, key);
                    if let Some(settings) = settings {
                        dest::put_settings(buffer, settings);
                    }
                });
            }
        });
    }
}

impl GenlMessage<IpvsAttribute> {
    fn with(command: Command, attributes: Vec<IpvsAttribute>) -> Self {
        Self { command: command as u8, version: VERSION, attributes }
    }

    /// A command about nothing or everything.
    pub fn bare(command: Command) -> Self {
        Self::with(command, Vec::new())
    }

    /// Starts a sync daemon.
    pub fn new_daemon(state: DaemonState, daemon: &Daemon) -> Self {
        Self::with(Command::NewDaemon, vec![IpvsAttribute::Daemon(DaemonAttribute::to_start(state, daemon))])
    }

    /// Stops a sync daemon.
    pub fn del_daemon(state: DaemonState, id: u8) -> Self {
        Self::with(Command::DelDaemon, vec![IpvsAttribute::Daemon(DaemonAttribute::to_stop(state, id))])
    }

    /// Sets all three timeouts.
    pub fn set_config(timeouts: Timeouts) -> Self {
        let attributes = vec![
            IpvsAttribute::TimeoutTcp(timeouts.tcp_secs),
            IpvsAttribute::TimeoutTcpFin(timeouts.tcp_fin_secs),
            IpvsAttribute::TimeoutUdp(timeouts.udp_secs),
        ];
        Self::with(Command::SetConfig, attributes)
    }

    /// The service that is told of, with attributes as they came.
    pub fn service_attributes(&self) -> Option<&[ServiceAttribute]> {
        self.attributes.iter().find_map(|attribute| match attribute {
            IpvsAttribute::Service(attributes) => Some(&attributes[..]),
            _ => None,
        })
    }

    /// The destination that is told of.
    pub fn dest_attributes(&self) -> Option<&[DestAttribute]> {
        self.attributes.iter().find_map(|attribute| match attribute {
            IpvsAttribute::Dest(attributes) => Some(&attributes[..]),
            _ => None,
        })
    }

    /// The sync daemon that is told of.
    pub fn daemon_attributes(&self) -> Option<&[DaemonAttribute]> {
        self.attributes.iter().find_map(|attribute| match attribute {
            IpvsAttribute::Daemon(attributes) => Some(&attributes[..]),
            _ => None,
        })
    }

    /// The timeouts that are told; none where one lacks.
    pub fn timeouts(&self) -> Option<Timeouts> {
        let (mut tcp, mut tcp_fin, mut udp) = (None, None, None);
        for attribute in &self.attributes {
            match attribute {
                IpvsAttribute::TimeoutTcp(secs) => tcp = Some(*secs),
                IpvsAttribute::TimeoutTcpFin(secs) => tcp_fin = Some(*secs),
                IpvsAttribute::TimeoutUdp(secs) => udp = Some(*secs),
                _ => {}
            }
        }
        Some(Timeouts { tcp_secs: tcp?, tcp_fin_secs: tcp_fin?, udp_secs: udp? })
    }
}

impl Nla for IpvsAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Service(attributes) => attributes.as_slice().buffer_len(),
            Self::Dest(attributes) => attributes.as_slice().buffer_len(),
            Self::Daemon(attributes) => attributes.as_slice().buffer_len(),
            Self::TimeoutTcp(_) | Self::TimeoutTcpFin(_) | Self::TimeoutUdp(_) => 4,
            Self::Other(attribute) => attribute.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Service(_) => IPVS_CMD_ATTR_SERVICE | NLA_F_NESTED,
            Self::Dest(_) => IPVS_CMD_ATTR_DEST | NLA_F_NESTED,
            Self::Daemon(_) => IPVS_CMD_ATTR_DAEMON | NLA_F_NESTED,
            Self::TimeoutTcp(_) => IPVS_CMD_ATTR_TIMEOUT_TCP,
            Self::TimeoutTcpFin(_) => IPVS_CMD_ATTR_TIMEOUT_TCP_FIN,
            Self::TimeoutUdp(_) => IPVS_CMD_ATTR_TIMEOUT_UDP,
            Self::Other(attribute) => attribute.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Service(attributes) => attributes.as_slice().emit(buffer),
            Self::Dest(attributes) => attributes.as_slice().emit(buffer),
            Self::Daemon(attributes) => attributes.as_slice().emit(buffer),
            Self::TimeoutTcp(secs) | Self::TimeoutTcpFin(secs) | Self::TimeoutUdp(secs) => {
                buffer.copy_from_slice(&secs.to_ne_bytes());
            }
            Self::Other(attribute) => attribute.emit_value(buffer),
        }
    }
}

impl Parseable<NlaBuffer<&[u8]>> for IpvsAttribute {
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        let value = attribute.value();
        Ok(match attribute.kind() {
            IPVS_CMD_ATTR_SERVICE => Self::Service(attributes_of(value)?),
            IPVS_CMD_ATTR_DEST => Self::Dest(attributes_of(value)?),
            IPVS_CMD_ATTR_DAEMON => Self::Daemon(attributes_of(value)?),
            IPVS_CMD_ATTR_TIMEOUT_TCP => Self::TimeoutTcp(parse_u32(value)?),
            IPVS_CMD_ATTR_TIMEOUT_TCP_FIN => Self::TimeoutTcpFin(parse_u32(value)?),
            IPVS_CMD_ATTR_TIMEOUT_UDP => Self::TimeoutUdp(parse_u32(value)?),
            _ => Self::Other(Parseable::parse(attribute)?),
        })
    }
}
