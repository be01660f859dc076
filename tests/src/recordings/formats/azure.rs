//! OpenAI's API on Azure: by a resource's own path, by a deployment's, or by Foundry's.

use super::super::{Auth, Case, Recording};
use super::openai;
use super::openai::Dialect;

pub(super) fn case(recording: &Recording) -> Result<Case, String> {
    let mut case = openai::case(recording, &Dialect::OPENAI)?;
    case.auth = Auth::Header("api-key");
    let version = recording.query.iter().find(|(name, _)| name == "api-version");
    if let Some((_, version)) = version {
        case.settings += &format!("config.api_version = \"{version}\"\n");
    }
    if let Some((resource, deployment)) = case.base.split_once("/openai/deployments/") {
        case.input["model"] = deployment.into();
        case.target = case
            .target
            .map(|target| format!("/openai/deployments/{deployment}{target}"));
        case.base = resource.to_owned();
    } else if !case.base.ends_with("/openai/v1") && !case.base.ends_with("/models") {
        // No path of Azure's: a resource's address that was given without one.
        case.target = None;
    }
    Ok(case)
}
