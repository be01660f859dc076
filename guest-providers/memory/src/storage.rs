//! What the points are kept in: values by keys, written in batches of which all or nothing is kept.

use weir_guest::keyvalue::store::{Bucket, Error as BucketError, open};
use weir_guest::{Error, keyvalue::batch};

use crate::error;

/// A value and the key it is kept under.
pub type Entry = (String, Vec<u8>);

/// Durable values by keys. Every error is the contract's `storage`.
pub trait Storage {
    /// Whether there is no key at all.
    fn is_empty(&mut self) -> Result<bool, Error>;

    /// The values of `keys`, in their order; none for a key that is not there.
    fn read(&mut self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error>;

    /// Writes all entries or none; on success they are durable.
    fn write(&mut self, entries: &[Entry]) -> Result<(), Error>;

    /// Removes all keys or none; on success that is durable.
    fn remove(&mut self, keys: &[String]) -> Result<(), Error>;
}

/// The storage the host lends: the one bucket of this provider, opened when it is first needed.
#[derive(Default)]
pub struct HostStorage {
    bucket: Option<Bucket>,
}

impl HostStorage {
    fn bucket(&mut self) -> Result<&Bucket, Error> {
        let opened = match self.bucket.take() {
            Some(bucket) => bucket,
            None => open("").map_err(failed("open the storage"))?,
        };
        Ok(self.bucket.insert(opened))
    }
}

impl Storage for HostStorage {
    fn is_empty(&mut self) -> Result<bool, Error> {
        let page = self.bucket()?.list_keys(None).map_err(failed("list the keys"))?;
        Ok(page.keys.is_empty())
    }

    fn read(&mut self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let values = batch::get_many(self.bucket()?, keys).map_err(failed("read"))?;
        if values.len() != keys.len() {
            return Err(error::storage(format!(
                "the host answered {} values to {} keys",
                values.len(),
                keys.len()
            )));
        }
        keys.iter()
            .zip(values)
            .map(|(asked, answer)| match answer {
                Some((key, _)) if key != *asked => Err(error::storage(format!(
                    "the host answered the value of `{key}` in the place of `{asked}`"
                ))),
                answer => Ok(answer.map(|(_, value)| value)),
            })
            .collect()
    }

    fn write(&mut self, entries: &[Entry]) -> Result<(), Error> {
        batch::set_many(self.bucket()?, entries).map_err(failed("write"))
    }

    fn remove(&mut self, keys: &[String]) -> Result<(), Error> {
        batch::delete_many(self.bucket()?, keys).map_err(failed("delete"))
    }
}

fn failed(doing: &'static str) -> impl Fn(BucketError) -> Error {
    move |reason| match reason {
        BucketError::NoSuchStore | BucketError::AccessDenied => error::storage(format!(
            "can't {doing}: the host lends this provider no storage; grant it a path in the configuration"
        )),
        BucketError::Other(reason) => error::storage(format!("can't {doing}: {reason}")),
    }
}

#[cfg(test)]
pub mod fake {
    //! Storage in memory that can be told to fail.

    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::rc::Rc;

    use super::*;

    /// Clones share their content, as two instances share a file.
    #[derive(Default, Clone)]
    pub struct FakeStorage {
        pub values: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
        pub refuses_writes: Rc<RefCell<bool>>,
        /// The number of batches written or removed.
        pub batches: Rc<RefCell<usize>>,
    }

    impl FakeStorage {
        fn begin_batch(&self) -> Result<(), Error> {
            if *self.refuses_writes.borrow() {
                return Err(error::storage("can't write: the disk is full"));
            }
            *self.batches.borrow_mut() += 1;
            Ok(())
        }
    }

    impl Storage for FakeStorage {
        fn is_empty(&mut self) -> Result<bool, Error> {
            Ok(self.values.borrow().is_empty())
        }

        fn read(&mut self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
            Ok(keys.iter().map(|key| self.values.borrow().get(key).cloned()).collect())
        }

        fn write(&mut self, entries: &[Entry]) -> Result<(), Error> {
            self.begin_batch()?;
            self.values.borrow_mut().extend(entries.iter().cloned());
            Ok(())
        }

        fn remove(&mut self, keys: &[String]) -> Result<(), Error> {
            self.begin_batch()?;
            self.values.borrow_mut().retain(|key, _| !keys.contains(key));
            Ok(())
        }
    }
}
