//! The companion is seen where the function is seen.

mod outer {
    pub(crate) mod inner {
        #[derive(serde::Serialize, serde::Deserialize)]
        pub(in crate::outer) struct Private;

        #[loky::task]
        pub(in crate::outer) fn restricted(a: Private) -> Private {
            a
        }
        #[loky::task]
        pub(super) fn up() {}
        #[loky::task]
        pub fn open() {}
    }
    pub(crate) fn names() -> [&'static str; 2] {
        [inner::restricted::call(inner::Private).task().name(), inner::up::TASK.name()]
    }
}

fn main() {
    assert!(outer::names().iter().all(|name| *name != outer::inner::open::TASK.name()));
}
