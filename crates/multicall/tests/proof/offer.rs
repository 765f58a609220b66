//! Two offers that are loaded in turn: their products overlap, and so do their coupons.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::Value;

/// What both offers have at any time.
pub(crate) const SHARED_PRODUCTS: RangeInclusive<u64> = 101..=300;
pub(crate) const SHARED_COUPON: &str = "BOTHHAVE";

#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) name: &'static str,
    pub(crate) products: RangeInclusive<u64>,
    pub(crate) coupon: &'static str,
}

pub(crate) const OFFERS: [Offer; 2] = [
    Offer {
        name: "Lunch",
        products: 1..=300,
        coupon: "LUNCH001",
    },
    Offer {
        name: "Dinner",
        products: 101..=400,
        coupon: "DINNER01",
    },
];

/// What becomes of products that the next offer does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vanished {
    Mark,
    /// Those that were ordered stay, and are offered.
    Delete,
}

impl Offer {
    /// Writes its files.
    pub(crate) fn write(&self, directory: &Path, vanished: Vanished) {
        let write =
            |name: &str, content: &str| std::fs::write(directory.join(name), content).unwrap();
        let policy = match vanished {
            Vanished::Mark => "mark",
            Vanished::Delete => "delete",
        };
        write(
            "manifest.yaml",
            &format!(
                "data_sets:\n  products: {{files: products.csv, vanished: {policy}}}\n  \
                 coupons: {{files: coupons.csv, vanished: delete}}\n"
            ),
        );
        let mut products = "id,name,price,category\n".to_owned();
        for id in self.products.clone() {
            writeln!(
                products,
                "{id},{} {id},{}.50,{}",
                self.name,
                id % 90,
                self.name
            )
            .unwrap();
        }
        write("products.csv", &products);
        write(
            "coupons.csv",
            &format!("code\n{SHARED_COUPON}\n{}\n", self.coupon),
        );
    }

    /// Whether a list of products is this offer; where they are not marked, ordered ones of the other offer may stay.
    fn is(&self, list: &[(u64, String)], vanished: Vanished) -> bool {
        let (own, other): (Vec<_>, Vec<_>) =
            list.iter().partition(|(id, _)| self.products.contains(id));
        let is_own = |((found, name), id): (&(u64, String), u64)| {
            *found == id && *name == format!("{} {id}", self.name)
        };
        own.len() as u64 == self.products.end() - self.products.start() + 1
            && own.into_iter().zip(self.products.clone()).all(is_own)
            && (other.is_empty() || vanished == Vanished::Delete)
    }
}

/// Whether a list of products, as the API answers it, is one of the offers.
pub(crate) fn is_whole(answer: &Value, vanished: Vanished) -> bool {
    let product = |product: &Value| {
        let id = product["id"].as_str()?.parse().ok()?;
        Some((id, product["name"].as_str()?.to_owned()))
    };
    let list: Option<Vec<_>> = answer
        .as_array()
        .and_then(|list| list.iter().map(product).collect());
    list.is_some_and(|list| OFFERS.iter().any(|offer| offer.is(&list, vanished)))
}
