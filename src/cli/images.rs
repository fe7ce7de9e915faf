//! `ketch images`: lists the images of containers.
//!
//! In: flags, containers, and their images, each asked for once. Out: a table, JSON, or ids.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;

use super::args::ImagesArgs;
use super::engine::{Engine, Sight, interruptible};
use super::exit::Failure;
use super::session::Session;
use super::usage::table_or_json;
use crate::model::observed::{ObservedContainer, ObservedImage};
use crate::orchestrator::now;
use crate::ui::images::{ImageLine, human, ids, json};

/// Lists the images of containers.
pub(super) async fn run(args: &ImagesArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let format = table_or_json(args.format.as_deref())?;
    let sight = Sight::find(session)?;
    let services = sight.named(&args.services)?;
    let engine = Engine::connect(session).await?;
    let all = engine.containers(Some(&sight.name)).await?;
    let is_meant = |container: &&ObservedContainer| {
        services.is_empty() || services.contains(container.service())
    };
    let containers: Vec<&ObservedContainer> = all.iter().filter(is_meant).collect();
    let find = find(&engine, &containers);
    let images = interruptible(engine.interrupts.shutdown(), find).await?;
    let lines: Vec<ImageLine> = containers
        .iter()
        .map(|container| line(container, images.get(container.image_id.as_str())))
        .collect();
    let table = |lines: &[ImageLine]| human(lines, now());
    let text = if args.quiet { ids(&lines) } else { format.draw(&lines, table, json) };
    engine.session.screen.data(&text)?;
    Ok(0)
}

/// The images of containers by their ids; what is gone is left out.
async fn find<'c>(
    engine: &Engine<'_, '_>,
    containers: &[&'c ObservedContainer],
) -> Result<BTreeMap<&'c str, ObservedImage>, Failure> {
    let ids: BTreeSet<&str> = containers.iter().map(|it| it.image_id.as_str()).collect();
    let found = ids.into_iter().map(async |id| {
        let image = engine.runtime.find_image(id).await?;
        Ok::<_, Failure>(image.map(|image| (id, image)))
    });
    Ok(try_join_all(found).await?.into_iter().flatten().collect())
}

fn line(container: &ObservedContainer, image: Option<&ObservedImage>) -> ImageLine {
    let line = ImageLine {
        container: container.name.clone(),
        reference: container.image.clone(),
        id: container.image_id.clone(),
        ..ImageLine::default()
    };
    let Some(image) = image else { return line };
    let tagged = image.tagged.saturating_mul(1_000_000_000);
    ImageLine {
        id: image.id.clone(),
        platform: image.platform.clone(),
        size: image.size,
        tagged: (image.tagged > 0).then(|| tagged.saturating_add(image.tagged_nanos.into())),
        ..line
    }
}

#[cfg(test)]
mod tests {
    use super::line;
    use crate::model::observed::{ObservedContainer, ObservedImage};

    #[test]
    fn an_image_that_is_gone_has_no_more_than_its_id() {
        let container = ObservedContainer {
            name: "p-a-1".to_owned(),
            image: "busybox".to_owned(),
            image_id: "sha256:00".to_owned(),
            ..ObservedContainer::default()
        };
        let gone = line(&container, None);
        assert_eq!((gone.id.as_str(), gone.size, gone.tagged), ("sha256:00", 0, None));
        let image = ObservedImage { tagged: 5, tagged_nanos: 7, size: 3, ..Default::default() };
        let there = line(&container, Some(&image));
        assert_eq!((there.size, there.tagged), (3, Some(5_000_000_007)));
    }
}
