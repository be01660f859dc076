//! `GET /foundation-models` (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html>).

use serde::Deserialize;
use weir_guest::json;
use weir_guest::types::Error;

use crate::models::Model;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    model_summaries: Vec<Summary>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    model_id: String,
}

pub(crate) fn read(body: &[u8]) -> Result<Vec<Model>, Error> {
    let Answer { model_summaries } = json::read(body)?;
    // An id begins with its maker.
    let model = |Summary { model_id }| Model {
        owner: model_id.split_once('.').map(|(maker, _)| maker.to_owned()),
        id: model_id,
        created: None,
    };
    Ok(model_summaries.into_iter().map(model).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_have_their_maker() {
        let body = br#"{"modelSummaries": [{"modelId": "amazon.nova-lite-v1:0", "providerName": "Amazon",
            "modelArn": "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"}, {"modelId": "b"}]}"#;
        let models = read(body).unwrap();
        let told: Vec<_> = models
            .iter()
            .map(|model| (model.id.as_str(), model.owner.as_deref()))
            .collect();
        assert_eq!(told, [("amazon.nova-lite-v1:0", Some("amazon")), ("b", None)]);
        assert!(
            matches!(read(br#"{"modelSummaries": [{}]}"#), Err(Error::MalformedResponse(text))
            if text.contains("modelSummaries[0]"))
        );
    }
}
