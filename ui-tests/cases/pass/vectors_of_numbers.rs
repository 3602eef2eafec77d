//! Vectors of numbers travel in their own way, however they are written; neither the user's names nor lints are in its way.

#![forbid(unused, unused_qualifications, unsafe_code)]

type Samples = Vec<f64>;

trait BySerde {
    const BULK: u8 = 1;
}
impl<T> BySerde for T {}

#[loky::task]
fn all(_: Vec<u8>, _: Samples, _: Vec<[[f32; 2]; 40 - 38]>) -> Samples {
    vec![<u8 as BySerde>::BULK.into()]
}

#[loky::task]
fn some(bytes: Vec<u8>, _: Option<Samples>, _: Vec<String>) -> Result<Vec<u8>, Vec<u8>> {
    Ok(bytes)
}

fn main() {
    let _ = all::call(vec![1], vec![], vec![]);
    let _ = some::call(vec![1], None, vec![]);
}
