//! Names of persons: by lists of common ones, folded to plain letters, and by how full names are written.
#![forbid(unsafe_code)]

/// Common given names of several languages, sorted.
#[rustfmt::skip]
const GIVEN: &[&str] = &[
    "aaron", "abdul", "abigail", "adam", "adrian", "agnes", "ahmed", "aisha", "alan", "albert", "alberto",
    "alejandro", "aleksander", "alessandro", "alex", "alexander", "alexandra", "alexis", "alfred", "ali",
    "alice", "alicia", "alina", "allison", "amanda", "amber", "amelia", "amy", "ana", "anastasia",
    "anders", "andre", "andrea", "andreas", "andrew", "angela", "angelica", "anita", "ann", "anna", "anne",
    "annette", "annie", "anthony", "antoine", "anton", "antonia", "antonio", "april", "ariana", "arthur",
    "ashley", "astrid", "audrey", "austin", "ava", "barbara", "bartosz", "beatrice", "ben", "benjamin",
    "bernard", "bernd", "beth", "betty", "beverly", "bianca", "bill", "bjorn", "bob", "bogdan", "bonnie",
    "boris", "bradley", "brandon", "brenda", "brian", "brittany", "bruce", "bruno", "bryan", "camila",
    "camille", "carl", "carla", "carlos", "carmen", "carol", "caroline", "catherine", "cecilia", "celine",
    "charlene", "charles", "charlotte", "chen", "cheryl", "chloe", "chris", "christian", "christina",
    "christine", "christopher", "claire", "clara", "claudia", "clemens", "colin", "connie", "craig",
    "cristina", "cynthia", "daisy", "dale", "dan", "daniel", "daniela", "danielle", "danny", "darren",
    "dave", "david", "dawn", "deborah", "debra", "denise", "dennis", "derek", "diana", "diane", "diego",
    "dieter", "dirk", "dmitri", "dominik", "don", "donald", "donna", "doris", "dorothy", "doug", "douglas",
    "dylan", "edith", "eduardo", "edward", "eileen", "elaine", "eleanor", "elena", "eli", "elias", "elisa",
    "elisabeth", "elizabeth", "ella", "ellen", "elsa", "emil", "emilia", "emily", "emma", "enrique",
    "eric", "erica", "erik", "erika", "ernest", "esther", "ethan", "eugene", "eva", "evelyn", "fabian",
    "fatima", "felix", "fernando", "finn", "fiona", "florian", "frances", "francesca", "francesco",
    "francis", "francisco", "francois", "frank", "franz", "fred", "frederick", "frida", "gabriel",
    "gabriela", "gary", "gavin", "george", "gerald", "gerard", "gerhard", "gina", "giovanni", "giulia",
    "giuseppe", "glenn", "gloria", "grace", "graham", "greg", "gregory", "greta", "guido", "gustav",
    "hannah", "hans", "harold", "harry", "hassan", "heather", "heidi", "heinrich", "heinz", "helen",
    "helena", "helga", "henri", "henry", "herbert", "holger", "holly", "howard", "hugo", "ian", "ibrahim",
    "ida", "igor", "ilona", "ines", "ingrid", "irene", "irina", "isaac", "isabel", "isabella", "ivan",
    "jack", "jackson", "jacob", "jacqueline", "jacques", "jake", "jakob", "james", "jamie", "jan", "jana",
    "jane", "janet", "janice", "jason", "javier", "jean", "jeff", "jeffrey", "jennifer", "jeremy", "jerry",
    "jesper", "jesse", "jessica", "jesus", "jill", "jim", "jimmy", "joachim", "joan", "joanna", "joao",
    "joe", "joel", "johan", "johann", "johannes", "john", "jonas", "jonathan", "jordan", "jorge", "jose",
    "josef", "joseph", "joshua", "joyce", "juan", "juanita", "judith", "judy", "julia", "julian",
    "juliana", "julie", "julien", "jurgen", "justin", "jutta", "kai", "karen", "karin", "karl", "karol",
    "katarina", "kate", "katharina", "katherine", "kathleen", "kathryn", "katja", "keith", "kelly", "ken",
    "kenji", "kenneth", "kevin", "kim", "kimberly", "klaus", "kristen", "kristin", "kurt", "kyle", "lars",
    "laura", "lauren", "laurence", "lawrence", "lea", "leah", "lee", "lena", "leo", "leon", "leonardo",
    "leonie", "leslie", "lewis", "liam", "lillian", "lily", "linda", "lisa", "logan", "lois", "lorenzo",
    "lori", "louis", "louise", "lucas", "lucia", "lucy", "luigi", "luis", "luisa", "lukas", "luke", "lynn",
    "madison", "magdalena", "manuel", "marc", "marcel", "marco", "marcos", "marcus", "margaret", "maria",
    "mariana", "marie", "marilyn", "marina", "mario", "marion", "mark", "markus", "marta", "martha",
    "martin", "martina", "mary", "mateo", "mathias", "mathieu", "matteo", "matthew", "matthias", "maurice",
    "max", "maximilian", "maya", "megan", "mehmet", "melanie", "melissa", "mia", "michael", "michal",
    "michel", "michelle", "miguel", "mike", "mikhail", "mila", "milan", "miriam", "mohamed", "mohammed",
    "monica", "monika", "moritz", "mustafa", "nancy", "natalia", "natalie", "natasha", "nathan", "neil",
    "nicholas", "nick", "nicola", "nicolas", "nicole", "nikolai", "nils", "nina", "noah", "noel", "nora",
    "norma", "norman", "oleg", "olga", "oliver", "olivia", "olivier", "omar", "oscar", "otto", "owen",
    "pablo", "pamela", "paolo", "pascal", "patricia", "patrick", "paul", "paula", "paulo", "pavel",
    "pedro", "peggy", "peter", "petra", "phil", "philip", "philippe", "phillip", "phyllis", "pierre",
    "piotr", "rachel", "rafael", "ralf", "ralph", "ramona", "randy", "raul", "raymond", "rebecca",
    "regina", "reinhard", "renate", "rene", "ricardo", "richard", "rick", "rita", "rob", "robert",
    "roberta", "roberto", "robin", "rodrigo", "roger", "roland", "ron", "ronald", "rosa", "rosalyn",
    "rose", "roy", "ruben", "rudolf", "russell", "ruth", "ryan", "sabine", "sabrina", "sally", "sam",
    "samantha", "samuel", "sandra", "sandy", "sara", "sarah", "scott", "sean", "sebastian", "serge",
    "sergei", "sergio", "shannon", "sharon", "shawn", "sheila", "shirley", "silke", "silvia", "simon",
    "simone", "sofia", "sonia", "sophia", "sophie", "stacy", "stanley", "stefan", "stefanie", "stella",
    "stephanie", "stephen", "steve", "steven", "stuart", "susan", "susanne", "suzanne", "sven", "svetlana",
    "sylvia", "tamara", "tania", "tanja", "tara", "tatiana", "ted", "teresa", "terry", "theo", "theodore",
    "theresa", "therese", "thomas", "tiffany", "tim", "timothy", "tina", "tobias", "todd", "tom", "tommy",
    "tony", "tracy", "travis", "tyler", "ulrich", "ulrike", "ursula", "uwe", "valentina", "valerie",
    "vanessa", "vera", "verena", "veronica", "victor", "victoria", "vincent", "viola", "virginia",
    "vladimir", "walter", "wanda", "wayne", "wei", "wendy", "werner", "wilhelm", "william", "willie",
    "wolfgang", "xavier", "yang", "yasmin", "yolanda", "yuki", "yusuf", "yvonne", "zachary", "zoe",
    "zofia",
];

/// Common family names of several languages, sorted.
#[rustfmt::skip]
const FAMILY: &[&str] = &[
    "adams", "ahmed", "alexander", "allen", "alvarez", "andersen", "anderson", "andersson", "bailey",
    "baker", "bauer", "becker", "bell", "bennett", "bernard", "bianchi", "brooks", "brown", "bruno",
    "bryant", "butler", "campbell", "carter", "castillo", "castro", "chavez", "chen", "clark", "cole",
    "coleman", "collins", "cook", "cooper", "costa", "cox", "cruz", "davies", "davis", "delgado", "diaz",
    "dubois", "edwards", "evans", "fernandez", "ferrari", "ferreira", "fischer", "fisher", "flores",
    "ford", "foster", "fournier", "fuchs", "garcia", "gibson", "gomez", "gonzales", "gonzalez", "graham",
    "gray", "green", "greene", "griffin", "gutierrez", "hall", "hamilton", "hansen", "hansson", "harris",
    "harrison", "hartmann", "hayes", "henderson", "hernandez", "herrera", "hill", "hoffmann", "horvath",
    "howard", "huber", "hughes", "hunt", "ivanov", "jackson", "jansen", "jansson", "jenkins", "jensen",
    "jimenez", "johansson", "johnson", "jones", "jordan", "kaiser", "karlsson", "kaya", "keller", "kelly",
    "kennedy", "kim", "king", "klein", "koch", "kovacs", "kowalski", "kruger", "kumar", "lambert", "lang",
    "larsen", "larsson", "lee", "lehmann", "leroy", "lewis", "li", "lin", "lopez", "lorenz", "ludwig",
    "maier", "marino", "marshall", "martin", "martinez", "martins", "mason", "mayer", "mcdonald", "medina",
    "mendez", "mendoza", "meyer", "miller", "mitchell", "moore", "morales", "moreau", "moreno", "morgan",
    "morris", "muller", "murphy", "murray", "myers", "nagy", "nelson", "neumann", "newman", "nguyen",
    "nielsen", "nilsson", "novak", "nowak", "olsen", "olson", "olsson", "ortega", "ortiz", "owens",
    "parker", "patel", "patterson", "pedersen", "perez", "perry", "peters", "petersen", "peterson",
    "petit", "petrov", "pham", "phillips", "pinto", "popescu", "popov", "powell", "price", "ramirez",
    "ramos", "reed", "reyes", "ricci", "richard", "richards", "richardson", "richter", "rivera", "roberts",
    "robertson", "robinson", "rodriguez", "rogers", "romano", "romero", "rossi", "rousseau", "roux",
    "ruiz", "russell", "russo", "ryan", "salazar", "sanchez", "sanders", "santos", "schmid", "schmidt",
    "schmitt", "schmitz", "schneider", "scholz", "schroeder", "schulz", "schulze", "schuster", "schwarz",
    "scott", "silva", "simmons", "simon", "singh", "smirnov", "smith", "sokolov", "sousa", "stein",
    "stevens", "stewart", "sullivan", "suzuki", "svensson", "takahashi", "tanaka", "taylor", "thomas",
    "thompson", "thomsen", "torres", "tran", "turner", "vargas", "vasquez", "vogel", "wagner", "walker",
    "wallace", "walter", "wang", "ward", "washington", "watanabe", "watson", "weber", "weiss", "wells",
    "werner", "west", "white", "williams", "wilson", "winkler", "winter", "wojcik", "wolf", "wong", "wood",
    "woods", "wright", "wu", "yamamoto", "yang", "yilmaz", "young", "zhang", "zhao", "zimmermann",
];

const TITLES: &[&str] =
    &["mr", "mrs", "ms", "miss", "dr", "prof", "herr", "frau", "mme", "sr", "sra", "sir", "dame"];

/// Small words within family names.
const PARTICLES: &[&str] = &["de", "da", "van", "von", "der", "la", "del", "di", "al", "bin"];

/// Lower case letters without their marks; empty for a word with anything but letters in it.
fn folded(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for character in word.chars().flat_map(char::to_lowercase) {
        match character {
            'a'..='z' => out.push(character),
            'à'..='å' | 'ā' | 'ă' | 'ą' => out.push('a'),
            'ç' | 'ć' | 'č' => out.push('c'),
            'è'..='ë' | 'ē' | 'ę' | 'ě' => out.push('e'),
            'ì'..='ï' | 'ī' => out.push('i'),
            'ñ' | 'ń' | 'ň' => out.push('n'),
            'ò'..='ö' | 'ø' | 'ő' => out.push('o'),
            'ù'..='ü' | 'ů' | 'ű' => out.push('u'),
            'ý' | 'ÿ' => out.push('y'),
            'ś' | 'š' => out.push('s'),
            'ź' | 'ż' | 'ž' => out.push('z'),
            'ł' => out.push('l'),
            'ď' | 'đ' => out.push('d'),
            'ř' => out.push('r'),
            'ť' => out.push('t'),
            'ß' => out.push_str("ss"),
            '\'' | '’' | '-' => {}
            _ => return String::new(),
        }
    }
    out
}

fn listed(list: &[&str], word: &str) -> bool {
    let parts = word.split('-').map(folded);
    parts.into_iter().any(|part| list.binary_search(&part.as_str()).is_ok())
        || list.binary_search(&folded(word).as_str()).is_ok()
}

pub fn given_name(word: &str) -> bool {
    listed(GIVEN, word)
}

pub fn family_name(word: &str) -> bool {
    listed(FAMILY, word)
}

/// Two to four capitalised words of which one is a common name, with or without a title, in either order.
pub fn full_name(text: &str) -> bool {
    let words: Vec<&str> = text
        .split([' ', ','])
        .filter(|word| !word.is_empty())
        .filter(|word| !TITLES.contains(&word.trim_end_matches('.').to_lowercase().as_str()))
        .collect();
    let name_like = |word: &&str| {
        let bare = word.trim_end_matches('.');
        bare.chars().all(|c| c.is_alphabetic() || c == '-' || c == '\'' || c == '’')
            && bare.chars().next().is_some_and(char::is_uppercase)
            || PARTICLES.contains(word)
    };
    let (given, family) =
        (words.iter().any(|word| given_name(word)), words.iter().any(|word| family_name(word)));
    (2..=4).contains(&words.len())
        && words.iter().all(name_like)
        && given
        && (family
            || words.iter().any(|word| PARTICLES.contains(word))
            || words.len() == 2 && (given_name(words[0]) || text.contains(',')))
}

/// A single word that is somebody's name.
pub fn single_name(text: &str) -> bool {
    let text = text.trim();
    text.chars().count() >= 2
        && text.chars().next().is_some_and(char::is_alphabetic)
        && (given_name(text) || family_name(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        for list in [GIVEN, FAMILY] {
            assert!(list.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn names_with_marks_and_in_any_order() {
        for name in ["José García", "Müller, Jürgen", "Zoë van Dyke", "Anne-Marie Leroy", "Dr. Peter Schmidt"]
        {
            assert!(full_name(name), "{name}");
        }
        for text in
            ["New York", "Blue Widget", "May", "Los Angeles", "United States", "martin smith", "Ivan 4"]
        {
            assert!(!full_name(text), "{text}");
        }
        assert!(single_name("MARIA") && single_name("Smith") && !single_name("Widget"));
    }
}
