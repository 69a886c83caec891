//! What the kernel tells of a table. It need not be one that we have made: whatever it is, nothing here panics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::packet_core::{DecodeError, NlaBuffer, NlasIterator};

use super::{
    NFTA_CHAIN_HANDLE, NFTA_CHAIN_POLICY, NFTA_DATA_VALUE, NFTA_LIST_ELEM, NFTA_RULE_HANDLE, NFTA_SET_ELEM_DATA,
    NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_KEY_END, NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_TABLE_FLAGS, NFTA_TABLE_HANDLE,
    Question, Target,
};

/// `struct nfgenmsg`: family, version, two bytes of no interest.
const HEADER_LEN: usize = 4;

impl Question<'_> {
    /// What says whether a table, chain or rule is still the same, from a message that answers this question: its
    /// handle, which no other ever gets, and the one thing of it that can be changed in place.
    pub fn state(&self, payload: &[u8]) -> Result<[u64; 2], DecodeError> {
        let (handle_kind, state_kind) = match self {
            Self::Table(_) => (NFTA_TABLE_HANDLE, Some(NFTA_TABLE_FLAGS)),
            Self::Chain(..) => (NFTA_CHAIN_HANDLE, Some(NFTA_CHAIN_POLICY)),
            Self::Rules(..) => (NFTA_RULE_HANDLE, None),
            Self::Elements(..) => return Err("elements have no handle".into()),
        };
        let (mut handle, mut state) = (None, 0);
        for attribute in attributes(payload)? {
            let attribute = attribute?;
            if attribute.kind() == handle_kind {
                handle = Some(u64::from_be_bytes(exactly(attribute.value())?));
            } else if Some(attribute.kind()) == state_kind {
                state = u32::from_be_bytes(exactly(attribute.value())?).into();
            }
        }
        Ok([handle.ok_or("no handle")?, state])
    }
}

/// The elements in one of the messages that answer [`Question::Elements`].
pub fn elements(payload: &[u8]) -> Result<Vec<(Target, u32)>, DecodeError> {
    let mut elements = Vec::new();
    for list in attributes(payload)? {
        let list = list?;
        if list.kind() != NFTA_SET_ELEM_LIST_ELEMENTS {
            continue;
        }
        for element in NlasIterator::new(list.value()) {
            let element = element?;
            if element.kind() == NFTA_LIST_ELEM {
                elements.push(read_element(element.value())?);
            }
        }
    }
    Ok(elements)
}

fn read_element(bytes: &[u8]) -> Result<(Target, u32), DecodeError> {
    let (mut first, mut last, mut mark) = (None, None, None);
    for part in NlasIterator::new(bytes) {
        let part = part?;
        match part.kind() {
            NFTA_SET_ELEM_KEY => first = Some(key(value_in(part.value())?.value())?),
            NFTA_SET_ELEM_KEY_END => last = Some(key(value_in(part.value())?.value())?),
            NFTA_SET_ELEM_DATA => mark = Some(u32::from_ne_bytes(exactly(value_in(part.value())?.value())?)),
            _ => {}
        }
    }
    let (first, mark) = first.zip(mark).ok_or("an element without key or mark")?;
    // One address with one port has no end.
    let last = last.unwrap_or(first);
    Ok((Target { addresses: (first.0, last.0), ports: (first.1, last.1) }, mark))
}

/// A key of address and port.
fn key(bytes: &[u8]) -> Result<(IpAddr, u16), DecodeError> {
    let (address, rest): (IpAddr, _) = match (bytes.first_chunk::<4>(), bytes.first_chunk::<16>(), bytes.len()) {
        (Some(address), _, 8) => (Ipv4Addr::from(*address).into(), &bytes[4..]),
        (_, Some(address), 20) => (Ipv6Addr::from(*address).into(), &bytes[16..]),
        (_, _, length) => return Err(format!("a key of {length} bytes").into()),
    };
    match rest {
        [high, low, ..] => Ok((address, u16::from_be_bytes([*high, *low]))),
        _ => Err("a key without a port".into()),
    }
}

fn value_in(bytes: &[u8]) -> Result<NlaBuffer<&[u8]>, DecodeError> {
    for attribute in NlasIterator::new(bytes) {
        let attribute = attribute?;
        if attribute.kind() == NFTA_DATA_VALUE {
            return Ok(attribute);
        }
    }
    Err("data without a value".into())
}

fn attributes(payload: &[u8]) -> Result<NlasIterator<&[u8]>, DecodeError> {
    Ok(NlasIterator::new(payload.get(HEADER_LEN..).ok_or("a header of nfnetlink has four bytes")?))
}

fn exactly<const N: usize>(value: &[u8]) -> Result<[u8; N], DecodeError> {
    value.try_into().map_err(|_| DecodeError::from(format!("{} bytes instead of {N}", value.len())))
}
