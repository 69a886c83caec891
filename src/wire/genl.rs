//! Generic netlink: its header, its attributes, and the controller that knows the numbers of the families.

use rtnetlink::packet_core::{
    DecodeError, Emitable, NLA_F_NESTED, NetlinkHeader, Nla, NlaBuffer, NlasIterator, Parseable,
};

/// Message type of the controller, the one family with a fixed number (`GENL_ID_CTRL`).
pub const CONTROLLER: u16 = 16;

const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_VERSION: u8 = 2;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// `struct genlmsghdr`: command, version, two reserved bytes.
const HEADER_LEN: usize = 4;
const ATTRIBUTE_HEADER_LEN: usize = 4;

/// A message of some family: a command with attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenlMessage<A> {
    /// What is to be done, or what is told.
    pub command: u8,
    /// The family's version.
    pub version: u8,
    /// In the order of the bytes.
    pub attributes: Vec<A>,
}

impl<A: for<'a> Parseable<NlaBuffer<&'a [u8]>>> GenlMessage<A> {
    /// Reads what follows the netlink header.
    pub fn parse(payload: &[u8]) -> Result<Self, DecodeError> {
        let [command, version, _, _, attributes @ ..] = payload else {
            return Err("a generic netlink header has four bytes".into());
        };
        Ok(Self { command: *command, version: *version, attributes: attributes_of(attributes)? })
    }
}

impl<A: Nla> Emitable for GenlMessage<A> {
    fn buffer_len(&self) -> usize {
        HEADER_LEN + self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        buffer[..HEADER_LEN].copy_from_slice(&[self.command, self.version, 0, 0]);
        self.attributes.as_slice().emit(&mut buffer[HEADER_LEN..]);
    }
}

impl GenlMessage<ControllerAttribute> {
    /// Asks for the number of a family. A family that is a module of the kernel is loaded by that, where the module
    /// has the alias for it.
    pub fn family(name: &str) -> Self {
        let attributes = vec![ControllerAttribute::FamilyName(name.to_owned())];
        Self { command: CTRL_CMD_GETFAMILY, version: CTRL_VERSION, attributes }
    }

    /// The number of a family, from the answer.
    pub fn family_id(&self) -> Option<u16> {
        self.attributes.iter().find_map(|attribute| match attribute {
            ControllerAttribute::FamilyId(id) => Some(*id),
            _ => None,
        })
    }
}

/// What the controller says of a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControllerAttribute {
    /// `CTRL_ATTR_FAMILY_ID`: the message type of the family.
    FamilyId(u16),
    /// `CTRL_ATTR_FAMILY_NAME`
    FamilyName(String),
    /// Version, operations, multicast groups.
    Other(rtnetlink::packet_core::DefaultNla),
}

impl Nla for ControllerAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::FamilyId(_) => 2,
            Self::FamilyName(name) => name.len() + 1,
            Self::Other(attribute) => attribute.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::FamilyId(_) => CTRL_ATTR_FAMILY_ID,
            Self::FamilyName(_) => CTRL_ATTR_FAMILY_NAME,
            Self::Other(attribute) => attribute.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::FamilyId(id) => buffer.copy_from_slice(&id.to_ne_bytes()),
            Self::FamilyName(name) => emit_text(buffer, name),
            Self::Other(attribute) => attribute.emit_value(buffer),
        }
    }
}

impl Parseable<NlaBuffer<&[u8]>> for ControllerAttribute {
    fn parse(attribute: &NlaBuffer<&[u8]>) -> Result<Self, DecodeError> {
        Ok(match attribute.kind() {
            CTRL_ATTR_FAMILY_ID => Self::FamilyId(rtnetlink::packet_core::parse_u16(attribute.value())?),
            CTRL_ATTR_FAMILY_NAME => Self::FamilyName(text(attribute.value())),
            _ => Self::Other(Parseable::parse(attribute)?),
        })
    }
}

/// Appends a message with its netlink header.
pub fn append(buffer: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, message: &impl Emitable) {
    let mut header = NetlinkHeader::default();
    let start = buffer.len();
    // Both lengths are multiples of four.
    let length = header.buffer_len() + message.buffer_len();
    header.length = u32::try_from(length).unwrap_or(u32::MAX);
    header.message_type = kind;
    header.flags = flags;
    header.sequence_number = sequence;
    buffer.resize(start + length, 0);
    let (head, body) = buffer[start..].split_at_mut(header.buffer_len());
    header.emit(head);
    message.emit(body);
}

/// Appends a message with its netlink header, whose attributes `inside` appends: nothing of it is made before it is
/// written, and nothing is measured first.
pub fn append_each(
    buffer: &mut Vec<u8>,
    header: (u16, u16, u32),
    (command, version): (u8, u8),
    inside: impl FnOnce(&mut Vec<u8>),
) {
    append_with(buffer, header, [command, version, 0, 0], inside);
}

/// As [`append_each`], of any protocol that has four bytes between the netlink header and the attributes.
pub(crate) fn append_with(
    buffer: &mut Vec<u8>,
    (kind, flags, sequence): (u16, u16, u32),
    own_header: [u8; HEADER_LEN],
    inside: impl FnOnce(&mut Vec<u8>),
) {
    let mut header = NetlinkHeader::default();
    (header.message_type, header.flags, header.sequence_number) = (kind, flags, sequence);
    let start = buffer.len();
    let body = start + header.buffer_len();
    buffer.resize(body, 0);
    buffer.extend_from_slice(&own_header);
    inside(buffer);
    header.length = u32::try_from(buffer.len() - start).unwrap_or(u32::MAX);
    header.emit(&mut buffer[start..body]);
}

/// Appends an attribute: `struct nlattr` with length and kind, the value, and zeros up to the next four bytes.
pub(crate) fn put<const N: usize>(buffer: &mut Vec<u8>, kind: u16, value: [u8; N]) {
    put_header(buffer, kind, N);
    buffer.extend_from_slice(&value);
    buffer.extend_from_slice(&[0; 3][..N.next_multiple_of(4) - N]);
}

/// Appends a text with its NUL.
pub(crate) fn put_text(buffer: &mut Vec<u8>, kind: u16, text: &str) {
    put_header(buffer, kind, text.len() + 1);
    buffer.extend_from_slice(text.as_bytes());
    buffer.resize(buffer.len() + (text.len() + 1).next_multiple_of(4) - text.len(), 0);
}

/// Appends an attribute of attributes, which `inside` appends.
pub(crate) fn nest(buffer: &mut Vec<u8>, kind: u16, inside: impl FnOnce(&mut Vec<u8>)) {
    let start = buffer.len();
    put_header(buffer, kind | NLA_F_NESTED, 0);
    inside(buffer);
    let length = attribute_length(buffer.len() - start - ATTRIBUTE_HEADER_LEN);
    buffer[start..start + 2].copy_from_slice(&length.to_ne_bytes());
}

fn put_header(buffer: &mut Vec<u8>, kind: u16, length: usize) {
    buffer.extend_from_slice(&attribute_length(length).to_ne_bytes());
    buffer.extend_from_slice(&kind.to_ne_bytes());
}

fn attribute_length(value: usize) -> u16 {
    u16::try_from(ATTRIBUTE_HEADER_LEN + value).unwrap_or(u16::MAX)
}

/// Reads attributes up to the end.
pub(crate) fn attributes_of<A>(bytes: &[u8]) -> Result<Vec<A>, DecodeError>
where
    A: for<'a> Parseable<NlaBuffer<&'a [u8]>>,
{
    let mut attributes = Vec::new();
    for attribute in NlasIterator::new(bytes) {
        attributes.push(A::parse(&attribute?)?);
    }
    Ok(attributes)
}

/// The text of an attribute, up to its NUL; what is no UTF-8 is replaced.
pub(crate) fn text(value: &[u8]) -> String {
    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// A text with its NUL.
pub(crate) fn emit_text(buffer: &mut [u8], text: &str) {
    buffer[..text.len()].copy_from_slice(text.as_bytes());
    buffer[text.len()..].fill(0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_REQUEST};

    use super::*;

    #[test]
    fn a_family_is_asked_for_by_name_as_every_netlink_library_does() {
        let mut bytes = Vec::new();
        append(&mut bytes, CONTROLLER, NLM_F_REQUEST | NLM_F_ACK, 1, &GenlMessage::family("IPVS"));
        assert_eq!(
            bytes,
            [
                32, 0, 0, 0, 16, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0, // header
                3, 2, 0, 0, // CTRL_CMD_GETFAMILY
                9, 0, 2, 0, b'I', b'P', b'V', b'S', 0, 0, 0, 0,
            ]
        );
    }

    #[test]
    fn the_number_of_a_family_is_found_among_what_else_is_told_of_it() {
        let mut payload = vec![1, 2, 0, 0];
        payload.extend([9, 0, 2, 0, b'I', b'P', b'V', b'S', 0, 0, 0, 0]);
        payload.extend([8, 0, 3, 0, 1, 0, 0, 0, 6, 0, 1, 0, 0x20, 0, 0, 0]);
        let message = GenlMessage::<ControllerAttribute>::parse(&payload).unwrap();
        assert_eq!(message.family_id(), Some(0x20));
        assert_eq!(message.attributes.len(), 3);
        assert_eq!(message.attributes[0], ControllerAttribute::FamilyName("IPVS".to_owned()));
    }

    proptest! {
        #[test]
        fn no_payload_can_stop_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = GenlMessage::<ControllerAttribute>::parse(&bytes);
        }
    }
}
