//! Kinds of personal data, and what is proposed to be done with each.
#![forbid(unsafe_code)]

use crate::privacy::action::Action;
use serde_json::{Value, json};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Category {
    Email,
    Phone,
    PersonName,
    Address,
    PostalCode,
    City,
    BirthDate,
    NationalId,
    BankAccount,
    PaymentCard,
    IpAddress,
    DeviceId,
    Credential,
    UserName,
    Location,
    Gender,
    /// Health, religion, origin, orientation: Art. 9.
    Sensitive,
    /// A picture, a profile, an account elsewhere.
    OnlineProfile,
    Income,
    FreeText,
}

impl Category {
    /// As it is printed and stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::PersonName => "person_name",
            Self::Address => "address",
            Self::PostalCode => "postal_code",
            Self::City => "city",
            Self::BirthDate => "birth_date",
            Self::NationalId => "national_id",
            Self::BankAccount => "bank_account",
            Self::PaymentCard => "payment_card",
            Self::IpAddress => "ip_address",
            Self::DeviceId => "device_id",
            Self::Credential => "credential",
            Self::UserName => "user_name",
            Self::Location => "location",
            Self::Gender => "gender",
            Self::Sensitive => "sensitive",
            Self::OnlineProfile => "online_profile",
            Self::Income => "income",
            Self::FreeText => "free_text",
        }
    }

    /// How such values identify somebody, as declare_column() says it.
    pub fn identifier_class(self) -> &'static str {
        match self {
            Self::Email
            | Self::Phone
            | Self::PersonName
            | Self::NationalId
            | Self::BankAccount
            | Self::PaymentCard
            | Self::IpAddress
            | Self::DeviceId
            | Self::UserName
            | Self::OnlineProfile
            | Self::Address => "direct",
            Self::PostalCode
            | Self::City
            | Self::BirthDate
            | Self::Location
            | Self::Gender
            | Self::Income => "quasi",
            Self::Sensitive | Self::FreeText => "sensitive",
            Self::Credential => "credential",
        }
    }

    /// Parameters for the proposed action.
    pub fn params(category: &str, action: Action) -> Value {
        match (action, category) {
            (Action::Generalise, "birth_date") => json!({"unit": "year"}),
            (Action::Generalise, "income") => json!({"step": 1000}),
            (Action::Generalise, "location") => json!({"step": 1}),
            (Action::Generalise, "ip_address") => json!({"bits": 24}),
            (Action::Partial, "payment_card") => json!({"prefix": 0, "suffix": 4, "mask": "*"}),
            (Action::Partial, _) => json!({"prefix": 2, "suffix": 0, "mask": "*"}),
            (Action::Constant, _) => json!({"value": ""}),
            _ => json!({}),
        }
    }

    /// What is proposed: something that keeps the column useful where that is safe.
    pub fn proposed_action(self, nullable: bool, unique: bool) -> &'static str {
        match self {
            Self::Email
            | Self::UserName
            | Self::NationalId
            | Self::BankAccount
            | Self::PaymentCard
            | Self::DeviceId
                if unique =>
            {
                "pseudonym"
            }
            Self::BirthDate | Self::Income | Self::Location => "generalise",
            Self::PostalCode | Self::PaymentCard => "partial",
            Self::IpAddress => "generalise",
            Self::City | Self::Gender => "keep",
            _ if nullable => "null",
            Self::Email | Self::Phone | Self::PersonName | Self::UserName | Self::Address => "pseudonym",
            Self::NationalId | Self::BankAccount | Self::DeviceId => "hash",
            Self::Credential => "random",
            Self::Sensitive | Self::OnlineProfile | Self::FreeText => "constant",
        }
    }
}
