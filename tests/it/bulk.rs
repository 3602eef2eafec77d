//! Vectors of numbers in calls: in and out, short and long, and with other values around them.

use loky::ProcessPoolExecutor;
use loky::shared::SharedBytes;
use loky_tests::isolated;

type Samples = Vec<f64>;

#[loky::task]
fn bits(samples: Samples) -> Vec<u64> {
    samples.into_iter().map(f64::to_bits).collect()
}

#[loky::task]
fn from_bits(bits: Vec<u64>) -> Result<Samples, String> {
    Ok(bits.into_iter().map(f64::from_bits).collect())
}

#[loky::task]
fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

#[loky::task]
fn points(points: Vec<[i32; 2]>) -> Vec<[i32; 2]> {
    points.into_iter().map(|[x, y]| [y, x]).collect()
}

#[loky::task]
fn mixed(
    bytes: Vec<u8>,
    name: String,
    shared: SharedBytes,
    numbers: Vec<u16>,
    maybe: Option<Vec<u8>>,
    more: Vec<u8>,
) -> (usize, String, usize, Vec<u16>, Option<Vec<u8>>, usize) {
    (bytes.len(), name, shared.len(), numbers, maybe, more.len())
}

fn executor() -> ProcessPoolExecutor {
    ProcessPoolExecutor::builder().max_workers(1).build().unwrap()
}

#[test]
fn vectors_of_numbers_arrive_bit_by_bit() {
    isolated(|| {
        let executor = executor();
        // A quiet and a signalling NaN among them.
        let all = [0, 1, 1 << 63, 0x7ff8_0000_0000_0123, 0xfff0_0000_0000_0001, u64::MAX];
        let samples: Samples = all.into_iter().map(f64::from_bits).collect();
        assert_eq!(executor.submit(bits, samples).result().unwrap(), all);
        let back = executor.submit(from_bits, all.to_vec()).result().unwrap().unwrap();
        assert_eq!(back.into_iter().map(f64::to_bits).collect::<Vec<_>>(), all);
        let swapped = executor.submit(points, vec![[1, -2], [i32::MIN, 3]]).result().unwrap();
        assert_eq!(swapped, [[-2, 1], [3, i32::MIN]]);
    });
}

#[test]
fn vectors_of_any_length_arrive() {
    isolated(|| {
        let executor = executor();
        // As short as other arguments; as long as a letter and longer; more than the channel takes at once.
        for length in [0, 1, 6, 7, 4_080, 4_081, 65_519, 65_520, 65_521, 5 << 20, 64 << 20] {
            let bytes: Vec<u8> = (0..length).map(|i: usize| (i % 251) as u8).collect();
            let call = executor.submit(echo, bytes.clone());
            assert!(call.result().unwrap() == bytes, "{length}");
        }
        let many = (0..100_u8).map(|n| vec![n; 100 * usize::from(n)]);
        let echoed: Vec<_> = executor.map(echo, many.clone()).map(Result::unwrap).collect();
        assert_eq!(echoed, many.collect::<Vec<_>>());
    });
}

#[test]
fn vectors_beside_other_values_arrive() {
    isolated(|| {
        let executor = executor();
        let shared = SharedBytes::from_slice(b"shared").unwrap();
        let numbers = vec![1, u16::MAX];
        for length in [0, 3, 100_000] {
            let (bytes, name) = (vec![1; length], "name".to_owned());
            let (maybe, more) = (Some(vec![2, 3]), vec![4; 2 * length]);
            let args = (bytes, name.clone(), shared.clone(), numbers.clone(), maybe.clone(), more);
            let answer = executor.submit(mixed, args).result().unwrap();
            assert_eq!(answer, (length, name, 6, numbers.clone(), maybe, 2 * length));
        }
    });
}
