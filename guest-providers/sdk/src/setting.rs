//! The operator's settings: declared once as a constant, which the manifest describes and the adapter reads.

use std::sync::OnceLock;

use crate::bindings::wasi::config::store;
use crate::manifest::SettingDescription;
use crate::{Error, failure};

/// One setting an adapter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    name: &'static str,
    description: &'static str,
    default: Option<&'static str>,
}

impl Setting {
    /// A setting without a default.
    pub const fn new(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            description,
            default: None,
        }
    }

    /// The value that holds when the operator gives none.
    pub const fn default(self, value: &'static str) -> Self {
        Self {
            default: Some(value),
            ..self
        }
    }

    /// Its name in the operator's configuration.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The operator's value, or the default.
    ///
    /// # Errors
    /// `invalid-input` naming the setting, when the host cannot read it.
    pub fn get(&self) -> Result<Option<String>, Error> {
        match given() {
            Ok(given) => {
                let of_operator = given.iter().find(|(name, _)| name == self.name);
                let value = of_operator.map(|(_, value)| value.as_str()).or(self.default);
                Ok(value.map(str::to_owned))
            }
            Err(store::Error::Upstream(reason) | store::Error::Io(reason)) => Err(failure::refused(format!(
                "the setting `{}` can't be read: {reason}",
                self.name
            ))),
        }
    }

    /// The operator's value, or the default, or an empty text where there is neither.
    ///
    /// # Errors
    /// As [`Setting::get`].
    pub fn text(&self) -> Result<String, Error> {
        Ok(self.get()?.unwrap_or_default())
    }

    /// What the call asks for, if it does, else the setting: `MODEL.or(request.model)`.
    ///
    /// # Errors
    /// As [`Setting::get`].
    pub fn or(&self, asked: Option<String>) -> Result<String, Error> {
        asked.map_or_else(|| self.text(), Ok)
    }

    /// A URL to append paths to: without a slash at its end.
    ///
    /// # Errors
    /// As [`Setting::get`].
    pub fn url(&self) -> Result<String, Error> {
        let mut url = self.text()?;
        url.truncate(url.trim_end_matches('/').len());
        Ok(url)
    }

    /// `true` or `false`; none where neither is given.
    ///
    /// # Errors
    /// As [`Setting::get`], and `invalid-input` for any other value.
    pub fn flag(&self) -> Result<Option<bool>, Error> {
        match self.get()?.as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(failure::refused(format!(
                "the setting `{}` is `true` or `false`, not `{other}`",
                self.name
            ))),
        }
    }

    pub(crate) fn describe(&self) -> SettingDescription {
        SettingDescription {
            name: self.name.to_owned(),
            description: self.description.to_owned(),
            default: self.default.map(str::to_owned),
        }
    }
}

/// What the operator gave, which is the same for an instance's whole life: asked for once.
fn given() -> &'static Result<Vec<(String, String)>, store::Error> {
    static GIVEN: OnceLock<Result<Vec<(String, String)>, store::Error>> = OnceLock::new();
    GIVEN.get_or_init(store::get_all)
}
