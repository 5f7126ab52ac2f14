// SPDX-License-Identifier: MIT OR Apache-2.0
//! A layer's panic, and the free list that it is about.

use lab_trace::Entry;
use shared_abi::trace::{Event, Layer};

/// An element of a list: the head, or a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// 0 for the head, then in the list's order.
    pub index: u8,
    /// Where it is.
    pub address: u64,
    /// Free bytes.
    pub size: u64,
    /// Forward link.
    pub next: u64,
    /// Backward link.
    pub previous: u64,
}

/// A free list as it stood when its pool was about to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeList {
    /// When.
    pub time: u64,
    /// For whom the layer worked: the client id.
    pub client: u16,
    /// The head first.
    pub blocks: Vec<Block>,
}

/// A link, and the one that should lead back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// Index in [`FreeList::blocks`] of the element whose link is followed.
    pub from: usize,
    /// Whether the link is the forward one.
    pub forward: bool,
    /// Where it leads.
    pub to: u64,
    /// What the link back is there, if what stands there was recorded.
    pub back: Option<u64>,
}

impl Defect {
    /// Says what the allocator's assertion would have, and what is true instead.
    pub fn words(&self, list: &FreeList) -> String {
        let address = list.blocks.get(self.from).map_or(0, |block| block.address);
        let who = if self.from == 0 { "The head".to_owned() } else { format!("The block at {address:#x}") };
        let (link, back) = if self.forward { ("flink", "blink") } else { ("blink", "flink") };
        let from = if self.from == 0 { "head" } else { "block" };
        let to = self.to;
        match self.back {
            Some(found) => format!(
                "{who} says {link} = {to:#x}. What stands there must say {back} = {address:#x}; it says {found:#x}. So \
                 {from}.{link}->{back} == &{from} does not hold."
            ),
            None => format!("{who} says {link} = {to:#x}, and no element of the list stands there."),
        }
    }
}

impl FreeList {
    /// Finds every link that doesn't lead back to where it comes from.
    pub fn defects(&self) -> Vec<Defect> {
        let at = |address: u64| self.blocks.iter().find(|block| block.address == address);
        let mut defects = Vec::new();
        for (from, block) in self.blocks.iter().enumerate() {
            // What a dirty link leads to is no element; its own links mean nothing.
            if from > 0 && !self.leads_to(block.address, from) {
                continue;
            }
            for (forward, to) in [(true, block.next), (false, block.previous)] {
                let back = at(to).map(|other| if forward { other.previous } else { other.next });
                // The records may stop before the list does.
                let unknown = back.is_none() && from + 1 == self.blocks.len() && from > 0;
                if back != Some(block.address) && !unknown {
                    defects.push(Defect { from, forward, to, back });
                }
            }
        }
        defects
    }

    /// Says whether an element before this one is linked with it both ways.
    fn leads_to(&self, address: u64, before: usize) -> bool {
        let own = self.blocks.get(before).map(|block| block.previous);
        self.blocks[..before].iter().any(|other| other.next == address && own == Some(other.address))
    }

    /// Says in words what the links mean; nothing for a list that is one.
    pub fn verdict(&self) -> Option<String> {
        // The order of BGET's assertions: backward first.
        let defects = self.defects();
        let first = defects.iter().find(|defect| defect.from == 0 && !defect.forward).or(defects.first())?;
        Some(first.words(self))
    }
}

/// A panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic {
    /// Whose.
    pub layer: Layer,
    /// On which CPU.
    pub cpu: u8,
    /// When.
    pub time: u64,
    /// For whom it worked.
    pub client: u16,
    /// Its first words.
    pub text: String,
}

/// Panics and lists of a trace.
#[derive(Clone, Debug, Default)]
pub struct Crash {
    /// Each panic.
    pub panics: Vec<Panic>,
    /// Each list that differs from the one before.
    pub lists: Vec<FreeList>,
    /// The layer and CPU whose list is being told.
    open: Option<(Layer, u8)>,
}

impl Crash {
    /// Takes note of a record.
    pub(super) fn hear(&mut self, entry: &Entry) {
        let (time, client) = (entry.record.time, entry.record.client);
        match entry.record.event {
            Event::FreeBlock { index, address, size, next, previous } => {
                let block = Block { index, address, size, next, previous };
                let teller = (entry.layer, entry.cpu);
                let room = self.lists.len() < 256;
                match self.lists.last_mut() {
                    Some(list)
                        if index != 0 && self.open == Some(teller) && list.blocks.len() == usize::from(index) =>
                    {
                        list.blocks.push(block);
                    }
                    _ if index == 0 && room => {
                        self.lists.push(FreeList { time, client, blocks: vec![block] });
                        self.open = Some(teller);
                    }
                    // Its head was lost.
                    _ => self.open = None,
                }
            }
            Event::Panic { text } if self.panics.len() < 64 => {
                let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
                let text = String::from_utf8_lossy(&text[..end]).into_owned();
                self.panics.push(Panic { layer: entry.layer, cpu: entry.cpu, time, client, text });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(blocks: &[(u64, u64, u64)]) -> FreeList {
        let block = |(index, &(address, next, previous)): (usize, _)| Block {
            index: index as u8,
            address,
            size: 0,
            next,
            previous,
        };
        FreeList { time: 0, client: 0, blocks: blocks.iter().enumerate().map(block).collect() }
    }

    #[test]
    fn a_list_whose_links_lead_back_is_one() {
        assert_eq!(list(&[(1, 1, 1)]).verdict(), None);
        assert_eq!(list(&[(1, 2, 3), (2, 3, 1), (3, 1, 2)]).verdict(), None);
        // What comes after the last record is unknown.
        assert!(list(&[(1, 2, 3), (2, 9, 1)]).defects().iter().all(|defect| defect.from == 0));
    }

    #[test]
    fn the_reported_list_fails_where_the_report_says() {
        let dirty = list(&[(0x4638, 0x2_0000, 0x2_0000), (0x2_0000, 0, 0)]);
        let found: Vec<_> = dirty.defects().iter().map(|defect| (defect.from, defect.forward, defect.back)).collect();
        assert_eq!(found, [(0, true, Some(0)), (0, false, Some(0))]);
        let words = dirty.verdict().unwrap();
        assert!(words.contains("head.blink->flink == &head does not hold"), "{words}");
        assert!(words.contains("must say flink = 0x4638; it says 0x0"), "{words}");
    }

    #[test]
    fn a_link_to_nowhere_is_told_and_an_empty_list_does_no_harm() {
        assert!(list(&[(1, 7, 7)]).verdict().unwrap().contains("no element of the list stands there"));
        assert_eq!(list(&[]).verdict(), None);
    }
}
