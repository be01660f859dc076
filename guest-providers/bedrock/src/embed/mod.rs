//! Embeddings. Each family of models has a body of its own, and says by its id which it is.

mod batch;
mod single;

use weir_guest::failure;
use weir_guest::types::{EmbeddingRequest, Error};

use crate::embedding;
use crate::endpoint::Endpoint;

/// What models take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// Many texts (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html>).
    Cohere,
    /// One text (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html>).
    Titan,
    /// One text, or an image (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-mm.html>).
    TitanImage,
    /// One text, or almost anything (<https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html>).
    Nova,
}

pub(crate) async fn run(
    endpoint: &Endpoint,
    model: String,
    request: &EmbeddingRequest,
) -> Result<embedding::Response, Error> {
    match family(&model)? {
        Family::Cohere => {
            let post = endpoint.invoke("embed", &model)?.replay_safe();
            let answer = post.json(&batch::body(request)).send().await?;
            batch::read(&answer, model, request)
        }
        family => single::run(endpoint, family, model, request).await,
    }
}

/// An id may have a region's prefix (`us.cohere.embed-v4:0`), or stand at the end of an ARN.
fn family(model: &str) -> Result<Family, Error> {
    let families = [
        ("cohere.embed", Family::Cohere),
        ("titan-embed-image", Family::TitanImage),
        ("titan-embed", Family::Titan),
        ("multimodal-embeddings", Family::Nova),
    ];
    let known = families.iter().find(|(part, _)| model.contains(part));
    known.map(|(_, family)| *family).ok_or_else(|| {
        failure::refused(format!(
            "the model `{model}` is none whose embeddings are known here: `amazon.titan-embed-…`, `cohere.embed-…` or \
             `amazon.nova-…-multimodal-embeddings-…`"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_what_its_model_takes() {
        let family = |model| family(model).ok();
        assert_eq!(family("amazon.titan-embed-text-v2:0"), Some(Family::Titan));
        assert_eq!(family("amazon.titan-embed-image-v1"), Some(Family::TitanImage));
        assert_eq!(family("us.cohere.embed-v4:0"), Some(Family::Cohere));
        assert_eq!(
            family("arn:aws:bedrock:us-east-1::foundation-model/cohere.embed-english-v3"),
            Some(Family::Cohere)
        );
        assert_eq!(family("amazon.nova-2-multimodal-embeddings-v1:0"), Some(Family::Nova));
        assert_eq!(family("amazon.nova-lite-v1:0"), None);
    }
}
