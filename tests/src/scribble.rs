//! A worker that overwrites the page that it shares with the pool.

use std::fs;
use std::thread;

use serde::{Deserialize, Serialize};

use crate::deed::Deed;
use crate::{Event, Random};

/// The new content of the page.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Fill {
    /// Random words from this seed.
    Random(u64),
    /// The present words, in a random order from this seed.
    Shuffled(u64),
    /// Words without a bit.
    Zeros,
    /// Words with all bits.
    Ones,
}

/// The end of a call that has overwritten the page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Then {
    /// Returns.
    Return,
    /// Blocks until the event is set.
    Block(Event),
    /// Dies of SIGKILL.
    Die,
    /// Returns, and leaves a thread that overwrites the page again and again.
    GoOn,
}

/// Overwrites the page of the worker that runs the call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scribble {
    /// The new content.
    pub fill: Fill,
    /// The end of the call.
    pub then: Then,
}

impl Scribble {
    /// Performs it.
    pub fn perform(self) {
        Words(words()).overwrite(self.fill);
        match self.then {
            Then::Return => {}
            Then::Block(event) => event.wait(),
            Then::Die => Deed::Raise(libc::SIGKILL).perform().expect("a death"),
            Then::GoOn => {
                let words = Words(words());
                thread::spawn(move || {
                    for seed in 0.. {
                        words.overwrite(Fill::Random(seed));
                        thread::yield_now();
                    }
                });
            }
        }
    }
}

/// The words of this worker's page.
fn words() -> Vec<*mut u64> {
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc");
    let page = maps.lines().find(|line| line.contains("/memfd:loky-lane"));
    let page = page.unwrap_or_else(|| panic!("this worker has no mapping `loky-lane`:\n{maps}"));
    let mut words = page.split(' ');
    let range = words.next().and_then(|range| range.split_once('-')).expect("a range");
    assert!(words.next().is_some_and(|rights| rights.starts_with("rw")), "{page}");
    let [start, end] = [range.0, range.1].map(|it| usize::from_str_radix(it, 16).expect("hex"));
    (start..end).step_by(8).map(std::ptr::with_exposed_provenance_mut).collect()
}

/// The page's words, for any thread, for as long as it is mapped: until the worker leaves.
struct Words(Vec<*mut u64>);

#[expect(unsafe_code, reason = "plain addresses")]
// SAFETY: they are only written through, and what lies there is made to be written by anybody.
unsafe impl Send for Words {}

impl Words {
    fn overwrite(&self, fill: Fill) {
        let words = &self.0;
        let mut random = match fill {
            Fill::Random(seed) | Fill::Shuffled(seed) => Random::new(seed),
            Fill::Zeros | Fill::Ones => Random::new(0),
        };
        let mut content: Vec<u64> = words
            .iter()
            .map(|word| match fill {
                Fill::Random(_) => random.number(),
                Fill::Zeros => 0,
                Fill::Ones => u64::MAX,
                #[expect(unsafe_code, reason = "the page belongs to the library")]
                // SAFETY: mapped as long as the worker serves; any bits are a number.
                Fill::Shuffled(_) => unsafe { word.read_volatile() },
            })
            .collect();
        if matches!(fill, Fill::Shuffled(_)) {
            (1..content.len()).for_each(|place| content.swap(place, random.below(place + 1)));
        }
        for (word, content) in words.iter().zip(content) {
            #[expect(unsafe_code, reason = "it is what is tested")]
            // SAFETY: mapped for writing; the library takes any bits that it finds there for what another process wrote.
            unsafe {
                word.write_volatile(content);
            };
        }
    }
}
