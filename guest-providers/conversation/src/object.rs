//! A request's body whose fields the caller's own parameters replace.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use weir_guest::types::Error;
use weir_guest::{failure, json};

use crate::Parameter;

/// A JSON object, put together field by field. A field given again replaces the one before.
#[derive(Debug, Default)]
pub struct Object<'a> {
    fields: Vec<(&'a str, Box<RawValue>)>,
}

impl<'a> Object<'a> {
    /// One more field.
    ///
    /// # Errors
    /// `invalid-input` if `value` can't be JSON.
    pub fn set(&mut self, name: &'a str, value: &impl Serialize) -> Result<(), Error> {
        let value = to_raw_value(value)
            .map_err(|error| failure::refused(format!("the request's `{name}` can't be made JSON: {error}")))?;
        self.replace(name, value);
        Ok(())
    }

    /// One more field if there is a value.
    ///
    /// # Errors
    /// As [`Object::set`].
    pub fn set_some(&mut self, name: &'a str, value: Option<impl Serialize>) -> Result<(), Error> {
        value.map_or(Ok(()), |value| self.set(name, &value))
    }

    /// The caller's parameters.
    ///
    /// # Errors
    /// `invalid-input` naming the one that is no JSON, or `stream`, which is not the caller's to set.
    pub fn set_parameters(&mut self, parameters: &'a [Parameter]) -> Result<(), Error> {
        for Parameter { name, value } in parameters {
            if name == "stream" {
                return Err(failure::refused(
                    "`stream` is no parameter: call `chat` or `chat-streaming`",
                ));
            }
            let value = json::given(value, || format!("the parameter `{name}`"))?;
            self.replace(name, value.to_owned());
        }
        Ok(())
    }

    /// Itself, if it has a field.
    pub fn unless_empty(self) -> Option<Self> {
        (!self.fields.is_empty()).then_some(self)
    }

    fn replace(&mut self, name: &'a str, value: Box<RawValue>) {
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.fields.push((name, value)),
        }
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str, value: &str) -> Parameter {
        Parameter {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn a_parameter_replaces_what_goes_by_its_name() {
        let parameters = [parameter("temperature", "0.5"), parameter("stop", "[\"\\n\"]")];
        let mut body = Object::default();
        body.set("temperature", &1).unwrap();
        body.set_some("tools", None::<u8>).unwrap();
        body.set_parameters(&parameters).unwrap();
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"temperature":0.5,"stop":["\n"]}"#
        );
        assert!(Object::default().unless_empty().is_none());
    }

    #[test]
    fn what_is_no_json_is_refused_by_name() {
        let said = |name, value| match Object::default().set_parameters(&[parameter(name, value)]) {
            Err(Error::InvalidInput(failure)) => failure.message,
            other => panic!("{other:?}"),
        };
        assert!(said("stop", "{").contains("`stop`"));
        assert!(said("stream", "true").contains("`chat-streaming`"));
    }
}
