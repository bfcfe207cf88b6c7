//! What the names of tables and columns say, in several languages.
#![forbid(unsafe_code)]

use super::category::Category;

/// How much a name tells by itself.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Said {
    pub category: Category,
    /// Between 0 and 1.
    pub weight: f32,
}

/// The words of a name: split at `_`, spaces, dots and changes of case; lower case, digits off.
pub fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for character in name.chars() {
        let starts = character.is_uppercase() && before.is_lowercase();
        if !character.is_alphabetic() || starts {
            words.push(String::new());
        }
        if character.is_alphabetic()
            && let Some(last) = words.last_mut()
        {
            last.extend(character.to_lowercase());
        }
        before = character;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Words that say something by themselves or joined: `(category, weight, words)`.
#[rustfmt::skip]
const SAYINGS: &[(Category, f32, &[&str])] = &[
    (Category::Email, 0.9, &["email", "mail", "emailaddress", "correo", "courriel", "epost", "mailadresse", "emailadresse", "emailadr", "mailadr", "mailadres", "emails", "correoelectronico", "eletronico", "courrier", "emailid", "loginemail", "em", "fromaddr", "toaddrs", "toaddr", "replyto", "ccaddrs", "bccaddrs", "eposta", "posta", "recipients", "ccaddress", "bccaddress", "toaddress", "fromaddress"]),
    (Category::Phone, 0.85, &["phone", "telephone", "telefon", "telefono", "telephon", "mobile", "cellphone", "cell", "handy", "fax", "tel", "gsm", "movil", "portable", "telefoonnummer", "phonenumber", "msisdn", "telefoon", "whatsapp", "rufnummer", "ph", "mob", "mobil", "mobiltelefon", "homeph", "cellph", "workph", "telnr", "telno", "tlf", "tlfno", "telef", "teldom", "telport", "fon", "festnetz", "durchwahl", "faxnr", "callback", "callbacknumber", "callernumber", "phonee", "cel", "celular", "portatil", "cellulare", "komorka", "mobiel", "mobilnr", "contactno", "contactnumber", "phoneno", "mobileno"]),
    (Category::PersonName, 0.85, &["firstname", "lastname", "fullname", "surname", "forename", "givenname", "familyname", "middlename", "maidenname", "vorname", "nachname", "familienname", "prenom", "nombres", "apellido", "apellidos", "cognome", "sobrenome", "voornaam", "achternaam", "fname", "lname", "mname", "imie", "nazwisko", "patronymic", "nickname", "personname", "contactname", "cardholder", "cardholdername", "kundenname", "ansprechpartner", "vname", "nname", "nom", "nomusage", "nomnaiss", "nomnaissance", "prenoms", "nombre", "nombrecompleto", "apellidopaterno", "apellidomaterno", "primerapellido", "segundoapellido", "realname", "legalname", "preferredname", "prefname", "fn", "ln", "ansprechp", "subscribername", "guarantorname", "emergname", "nomfamille", "notfallkontakt", "emergencycontact", "kontaktperson", "efternamn", "fornamn", "etternavn", "fornavn", "jmeno", "prijmeni", "geburtsname", "contactperson", "nameonaccount", "nextofkin", "accholdername", "holdername", "guardian", "ccowner", "cardowner", "aka", "alsoknownas", "aliases", "policyholder", "accountholder", "signatory", "initials", "firstnm", "lastnm", "fullnm", "erziehungsberechtigter", "erziehungsberechtigte", "vormund", "zuname", "rufname", "forenames", "surnames", "middleinitial"]),
    (Category::PersonName, 0.45, &["displayname", "anzeigename"]),
    (Category::Address, 0.8, &["address", "street", "streetaddress", "addr", "adresse", "anschrift", "strasse", "direccion", "domicilio", "calle", "rue", "indirizzo", "via", "endereco", "adres", "straat", "hausnummer", "addressline", "ulica", "housenumber", "strhnr", "hnr", "str", "strnr", "lstr", "anschr", "adr", "adrligne", "adresseligne", "direcc", "addrline", "streetline", "domicile", "residence", "strassehnr", "lstrasse", "rstrasse", "domicil", "gatuadress", "ulice", "pobox", "apartment", "postaladdress"]),
    (Category::PostalCode, 0.75, &["zip", "zipcode", "postcode", "postalcode", "postal", "plz", "postleitzahl", "cap", "cep", "cp", "codpostal", "codepostal", "codigopostal", "postnr", "postnummer", "plznr", "kodpocztowy", "psc", "lplz", "pincode", "cppostal", "postcodearea"]),
    (Category::City, 0.45, &["city", "town", "stadt", "ort", "ville", "ciudad", "citta", "cidade", "plaats", "wohnort", "municipality", "commune", "localite", "localidad", "poblacion", "municipio", "lort", "wohnsitz", "comune", "miasto", "gemeente", "stad", "mesto"]),
    (Category::City, 0.3, &["region", "province", "county", "provincia", "bundesland", "landkreis", "departement", "prefecture", "location"]),
    (Category::OnlineProfile, 0.35, &["website", "homepage", "webseite", "webpage", "blog"]),
    (Category::FreeText, 0.6, &["bio", "biography", "aboutme", "selfdescription", "requests", "specialrequests", "requirements", "remark", "cooked"]),
    (Category::NationalId, 0.55, &["documentnumber", "documentno", "docnumber", "docno"]),
    (Category::BirthDate, 0.95, &["birthdate", "dateofbirth", "dob", "born", "birthday", "birth", "geburtsdatum", "geboren", "naissance", "datenaissance", "nacimiento", "fechanacimiento", "nascita", "nascimento", "geboortedatum", "birthyear", "yob", "geb", "gebdat", "gebtag", "gebdatum", "gebort", "geburtsort", "geburtstag", "naiss", "dtnaiss", "lieunaiss", "lieunaissance", "nac", "fnac", "fecnac", "fechanac", "lugarnacimiento", "birthplace", "placeofbirth", "bday", "dobdate", "subscriberdob", "datanascita", "dataurodzenia", "fodelsedatum", "fodselsdato", "age", "nacim", "fecnacim", "geboorte"]),
    (Category::NationalId, 0.9, &["ssn", "socialsecurity", "socialsecuritynumber", "nationalid", "passport", "passportnumber", "dni", "nif", "nie", "cpf", "bsn", "nino", "personnummer", "pesel", "taxid", "steuernummer", "steuerid", "sozialversicherungsnummer", "svnummer", "codicefiscale", "nir", "curp", "rut", "aadhaar", "idcard", "driverlicense", "driverslicense", "drivinglicence", "licensenumber", "fuehrerschein", "ausweis", "tin", "sin", "personalid", "svnr", "sozversnr", "steueridnr", "idnr", "numsecu", "nss", "nirpp", "secu", "insee", "matriculess", "dniruc", "dnitutor", "nifnie", "cedula", "rfc", "cuit", "idnumber", "governmentid", "idno", "mrn", "medicalrecordnumber", "memberid", "subscriberid", "personnr", "fodselsnummer", "fiscalcode", "numerodni", "passportno", "passno", "immat", "kennzeichen", "licenseplate", "licenceplate", "plate", "vin", "taxvat", "vatid", "vatnumber", "vatno", "taxnumber", "taxcode", "taxno", "ssnid", "sinid", "ssnno", "identificationid", "identificationnumber", "identitynumber", "identitycard", "passportid", "visano", "visanumber", "nationalinsurance", "insurancenumber", "voterid", "driverlicence", "drivinglicense", "steuernr", "ustid", "partitaiva", "insuranceno", "insuranceid", "insnr", "versicherungsnummer", "policennummer", "nationalidentifier", "socialsecurityno", "healthcardnumber", "mrz", "rijksregister", "rijksregisternummer", "documento"]),
    (Category::BankAccount, 0.9, &["iban", "bankaccount", "accountnumber", "kontonummer", "bban", "routingnumber", "sortcode", "bic", "cuenta", "kontoinhaber", "rib", "ribiban", "kontonr", "ktonrkunde", "blz", "ktoinh", "banknr", "accountno", "acctno", "swift", "swiftcode", "bankaccountnumber"]),
    (Category::PaymentCard, 0.9, &["creditcard", "cardnumber", "ccnumber", "creditcardnumber", "kreditkarte", "cvv", "cvc", "pan", "debitcard", "cardno", "tarjeta", "cclast", "cardlast", "cardlastfour", "lastfour", "cclastfour", "cardlastdigits"]),
    (Category::IpAddress, 0.9, &["ip", "ipaddress", "ipaddr", "remoteaddr", "clientip", "userip", "remoteip", "ipv", "derniereip", "adresseip", "ipadresse", "lastip", "loginip", "xforwardedfor", "forwardedfor", "remotehost", "clientaddress", "signinip", "signupip", "registrationip"]),
    (Category::DeviceId, 0.8, &["mac", "macaddress", "imei", "imsi", "deviceid", "udid", "idfa", "gaid", "fingerprint", "useragent", "devicetoken", "advertisingid", "ua", "anonid", "deviceuuid", "cookieid", "clientid", "visitorid", "browserfingerprint", "devicefp", "devicefingerprint"]),
    (Category::Credential, 0.9, &["password", "passwd", "pwd", "passwort", "kennwort", "contrasena", "motdepasse", "passwordhash", "passwordsalt", "salt", "secret", "apikey", "accesstoken", "refreshtoken", "token", "pin", "securityanswer", "otp", "totp", "encryptedpassword", "passworddigest", "authtoken", "sessiontoken", "pw", "pwhash", "pwdhash", "mdp", "mdphash", "motpasse", "clave", "contrasenia", "haslo", "keyhash", "apikeyhash", "tokenhash", "signingsecret", "mfasecret", "totpsecret", "recoverycodes", "invitetoken", "resettoken", "webhooksecret", "privatekey", "sshkey", "reponse", "respuesta", "secretanswer", "reponsesecrete", "sessionid", "sessionkey", "cookie", "authkey", "keyauth", "pushtoken"]),
    (Category::UserName, 0.8, &["username", "userlogin", "login", "loginname", "benutzername", "screenname", "usuario", "utilisateur", "userhandle", "handle", "slackhandle", "nick", "kuerzel", "loginid", "useralias", "identifiant"]),
    (Category::Location, 0.7, &["latitude", "longitude", "lat", "lng", "lon", "geolocation", "gps", "coordinates"]),
    (Category::Gender, 0.85, &["gender", "sex", "geschlecht", "sexe", "sexo", "sesso", "geslacht", "pronouns", "salutation", "anrede", "civilite", "sexatbirth", "geschl", "anredetext", "honorific"]),
    (Category::Sensitive, 0.85, &["religion", "ethnicity", "race", "health", "diagnosis", "disease", "disability", "medical", "bloodtype", "allergies", "allergy", "sexualorientation", "politicalparty", "unionmember", "konfession", "krankheit", "diagnose", "religious", "maritalstatus", "familienstand", "nationality", "citizenship", "criminal", "medication", "symptoms", "treatment", "prescription", "konf", "rel", "famstand", "situationfam", "etatcivil", "estadocivil", "krankenkasse", "gdb", "schwerbehinderung", "allergen", "allergens", "alergias", "alergia", "drug", "drugname", "rx", "dx", "dxtext", "dxcode", "complaint", "chiefcomplaint", "symptom", "reaction", "vaccine", "vaccination", "pregnancy", "smoker", "labresult", "bmi", "bloodgroup", "groupesanguin", "handicap", "syndicat", "ethnie", "ras", "illness", "maladie", "enfermedad", "malattia", "pathology", "icd", "marital", "civilstatus", "maritalstate", "insuranceplan", "diagnoses", "diagnosiscode", "icdcode", "allergenes", "dietary", "vaccinations", "sexualpreference", "bloodpressure", "biometric", "biometrics", "medicalhistory", "staatsangehoerigkeit", "staatsangehörigkeit", "staatsbuergerschaft", "krankenversicherung", "nationalite", "nacionalidad", "medicalconditions", "healthconditions", "weightkg", "heightcm"]),
    (Category::OnlineProfile, 0.7, &["avatar", "photo", "picture", "profilepicture", "linkedin", "twitter", "facebook", "instagram", "skype", "github", "photourl", "avatarurl", "selfie", "signature", "portrait", "profileurl", "avatarlink", "headshot", "foto", "bild", "lebenslauf", "cv", "resume"]),
    (Category::Income, 0.8, &["salary", "income", "wage", "gehalt", "einkommen", "salaire", "sueldo", "creditscore", "networth", "payrate", "brutto", "netto", "bruttogehalt", "lohn", "bruttolohn", "salaris", "stipendio", "paga", "renta", "payamount", "bonus", "sal", "salamt", "salaryamount", "annualsalary", "compensation", "hourlyrate"]),
    (Category::FreeText, 0.4, &["notes", "note", "comment", "comments", "remarks", "bemerkung", "bemerkungen", "kommentar", "message", "body", "observations", "feedback", "bem", "bemerkungstext", "notiz", "notizen", "anmerkung", "hinweis", "commentaire", "commentaires", "remarque", "observaciones", "observacion", "comentario", "comentarios", "noteText", "notetext", "snippet", "bodyhtml", "bodytext", "description", "desc", "transcript", "signature", "memo", "freitext", "opmerking", "uwagi", "review", "reviewtext", "testimonial", "complaints", "reason", "narrative", "about", "annotation", "coverletter", "essay", "content", "text", "texts", "detail", "details", "msg", "messages", "chat", "story"]),
];

/// Words after which a name is about something else: a flag, a count, a template, a time.
#[rustfmt::skip]
const OTHERWISE: &[&str] = &[
    "is", "has", "count", "counts", "num", "type", "types", "status", "verified", "confirmed", "enabled", "sent", "at", "template",
    "templates", "subject", "flag", "opt", "optin", "optout", "required", "allowed", "valid", "id", "ids", "fk", "format", "provider",
    "length", "size", "expires", "expiry", "expired", "attempts", "policy", "version", "updated", "created", "changed", "code", "level",
    "color", "colour", "by", "on", "domain", "server", "port", "preference", "preferences", "queue", "host", "rate", "hash",
];

/// Codes that are personal data all the same.
const STILL: &[&str] = &[
    "zipcode",
    "postcode",
    "postalcode",
    "sortcode",
    "passwordhash",
    "deviceid",
    "nationalid",
    "taxid",
    "personalid",
    "idcard",
    "steuerid",
    "advertisingid",
    "udid",
    "pwhash",
    "pwdhash",
    "mdphash",
    "keyhash",
    "tokenhash",
    "memberid",
    "subscriberid",
    "anonid",
    "dxcode",
];

/// What a column's name says.
pub fn column(name: &str) -> Option<Said> {
    let words = words(name);
    let joined = words.concat();
    let one = words.last().map(|last| format!("{}{}", words[..words.len() - 1].concat(), singular(last)));
    let mut best: Option<Said> = None;
    let mut in_full = false;
    for &(category, weight, sayings) in SAYINGS {
        // The whole name, or its last words ("billing_street_address"), or any single word of it.
        let whole =
            sayings.contains(&joined.as_str()) || one.as_deref().is_some_and(|one| sayings.contains(&one));
        let tail =
            (1..=3.min(words.len())).any(|n| sayings.contains(&words[words.len() - n..].concat().as_str()));
        let inside = words.iter().any(|word| sayings.contains(&word.as_str()))
            || words.windows(2).any(|pair| sayings.contains(&pair.concat().as_str()));
        let part_of_word = || words.iter().any(|word| sayings.iter().any(|saying| is_part(word, saying)));
        let share = if whole {
            1.0
        } else if tail {
            0.95
        } else if inside {
            0.75
        } else if part_of_word() {
            0.7
        } else {
            continue;
        };
        let said = Said { category, weight: weight * share };
        if best.is_none_or(|known| said.weight > known.weight) {
            best = Some(said);
            in_full = whole;
        }
    }
    let otherwise = words.len() > 1
        && !in_full
        && words.iter().any(|word| OTHERWISE.contains(&word.as_str()))
        && !STILL.iter().any(|still| joined.contains(still));
    best.map(|said| if otherwise { Said { weight: said.weight * 0.25, ..said } } else { said })
}

/// Words run together, as German and Dutch write them: `telefoonnr`, `geburtsname`. Short ones turn up by chance.
fn is_part(word: &str, saying: &str) -> bool {
    const SHORTEST: usize = 6;
    saying.len() >= SHORTEST
        && word.len() > saying.len()
        && (word.starts_with(saying) || word.ends_with(saying))
}

/// Whether a column's name is that of a name, of whatever thing: `name`, `title`, `customer_name`.
pub fn is_plain_name(name: &str) -> bool {
    words(name).last().is_some_and(|word| {
        matches!(word.as_str(), "name" | "nm" | "nombre" | "nom" | "naam" | "nome" | "bezeichnung" | "nazwa")
    })
}

/// Whether a name says that its values are kinds, states, colours.
pub fn is_about_something_else(name: &str) -> bool {
    words(name).last().is_some_and(|word| OTHERWISE.contains(&word.as_str()))
}

/// Whether a name says that its values number things.
pub fn is_number_of_something(name: &str) -> bool {
    words(name).last().is_some_and(|word| {
        matches!(
            word.as_str(),
            "id" | "ids" | "no" | "nr" | "num" | "number" | "code" | "sku" | "ref" | "reference" | "ean"
        )
    })
}

/// Whether some word before `name` says it is a person's.
pub fn is_about_person(name: &str) -> bool {
    words(name).iter().any(|word| PERSONS.contains(&singular(word).as_str()))
}

#[rustfmt::skip]
const PERSONS: &[&str] = &[
    "user", "customer", "client", "employee", "person", "people", "contact", "member", "patient", "student", "staff", "account",
    "author", "subscriber", "lead", "candidate", "applicant", "guest", "owner", "driver", "passenger", "teacher", "doctor", "actor",
    "recipient", "sender", "buyer", "seller", "tenant", "resident", "citizen", "voter", "donor", "visitor", "profile", "participant",
    "kunde", "kunden", "mitarbeiter", "benutzer", "patienten", "personal", "ansprechpartner", "cliente", "usuario", "empleado",
    "utilisateur", "salarie", "klant", "gebruiker", "utente", "dipendente", "borrower", "billing", "shipping", "invitee", "reviewer",
    "signer", "requester", "assignee", "leiter", "sachbearbeiter", "praticien", "practitioner", "expert", "gutachter", "conducteur", "physician",
    "nurse", "attorney", "technician", "responsable", "encargado", "tutor", "adherent", "assure", "alumno", "alumna", "eleve", "elev", "schueler",
    "paciente", "socio", "abonne", "abonado", "membre", "mitglied", "versicherter", "pers", "kst", "provider", "rep", "caller", "organizer", "attendee",
    "signer", "beneficiary", "emergency", "child", "parent", "spouse", "holder", "manager", "agent", "players", "player", "artist",
    "father", "mother", "husband", "wife", "relative", "sibling", "partner", "host", "traveller", "traveler", "crew", "coach", "referee",
    "counterparty", "payee", "payer", "debtor", "creditor", "remitter", "insured", "claimant", "witness", "victim", "heir", "trustee", "guarantor",
    "representative", "assistant", "instructor", "trainer", "volunteer", "titular",
];

fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("sses") {
        return format!("{stem}ss");
    }
    match word.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => word.strip_suffix('s').filter(|stem| stem.len() > 3).unwrap_or(word).to_owned(),
    }
}

/// Whether a table's name says that its rows are persons.
pub fn is_person_table(name: &str) -> bool {
    is_about_person(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_every_spelling() {
        for (name, category) in [
            ("email", Category::Email),
            ("EmailAddress", Category::Email),
            ("billing_email", Category::Email),
            ("home_phone_number", Category::Phone),
            ("vorname", Category::PersonName),
            ("last_name", Category::PersonName),
            ("addr_line1", Category::Address),
            ("zip_code", Category::PostalCode),
            ("date_of_birth", Category::BirthDate),
            ("passwordHash", Category::Credential),
            ("last_login_ip", Category::IpAddress),
            ("national_id", Category::NationalId),
            ("creditCardNumber", Category::PaymentCard),
        ] {
            let said = column(name);
            assert_eq!(said.map(|s| s.category), Some(category), "{name}");
            assert!(said.is_some_and(|s| s.weight > 0.5), "{name}: {said:?}");
        }
    }

    #[test]
    fn flags_and_counts_say_little() {
        for name in [
            "email_verified",
            "is_email_sent",
            "phone_count",
            "address_id",
            "email_template",
            "password_changed_at",
        ] {
            assert!(column(name).is_none_or(|s| s.weight < 0.4), "{name}: {:?}", column(name));
        }
        for name in [
            "quantity",
            "total",
            "description_html",
            "sku",
            "shipment",
            "parameter",
            "mailbox_quota",
            "position",
        ] {
            assert!(column(name).is_none_or(|s| s.weight < 0.8), "{name}: {:?}", column(name));
        }
    }

    #[test]
    fn tables_of_persons() {
        assert!(is_person_table("customers") && is_person_table("app_user") && is_person_table("Employees"));
        assert!(!is_person_table("product") && !is_person_table("order_lines"));
    }
}
