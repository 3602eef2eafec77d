//! Types that own what they hold, however they are written.

use std::borrow::Cow;
use std::collections::HashMap;

const N: usize = 2;

macro_rules! bytes {
    () => { Vec<u8> };
}

#[loky::task]
fn many(
    _: Cow<'static, str>,
    _: HashMap<String, Vec<Option<Box<[u8]>>>>,
    _: [u8; N * *&1],
    _: bytes!(),
    _: <Vec<u8> as IntoIterator>::Item,
) -> std::marker::PhantomData<fn(&u8) -> !> {
    std::marker::PhantomData
}

fn main() {
    let _ = many::call("".into(), HashMap::new(), [1, 2], vec![], 0);
}
