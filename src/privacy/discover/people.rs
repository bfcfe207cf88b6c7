//! Names of persons: by lists of common ones, folded to plain letters, and by how full names are written.
#![forbid(unsafe_code)]

/// Common given names of several languages, sorted.
#[rustfmt::skip]
const GIVEN: &[&str] = &[
    "aaliyah", "aarav", "aaron", "abdul", "abdullah", "abhishek", "abigail", "achieng", "adam", "ade",
    "aditi", "aditya", "adrian", "agathe", "agnes", "agnieszka", "ahmad", "ahmed", "aiden", "ainhoa",
    "aino", "aisha", "aitana", "aitor", "akiko", "akua", "alan", "alasdair", "alba", "albert", "alberto",
    "alejandro", "aleksander", "aleksandra", "aleksei", "alena", "alessandro", "alex", "alexander",
    "alexandra", "alexei", "alexis", "alfred", "ali", "alice", "alicia", "alina", "alistair", "allison",
    "alvaro", "ama", "amaia", "amanda", "amara", "amber", "amelia", "amelie", "amina", "aminata", "amir",
    "amit", "amita", "amy", "ana", "ananya", "anastasia", "anders", "andre", "andrea", "andreas", "andreea",
    "andrei", "andrew", "andrzej", "angela", "angelica", "anil", "anita", "anjali", "ann", "anna", "anne",
    "annelie", "anneliese", "annette", "annie", "annika", "ansgar", "anthony", "antoine", "anton",
    "antonia", "antonio", "aoife", "april", "araceli", "ariana", "arjun", "arnau", "artem", "arthur",
    "aruna", "asa", "asha", "ashley", "ashok", "astrid", "attila", "audrey", "aurelie", "austin", "ava",
    "avery", "ayesha", "ayse", "baptiste", "barbara", "bartlomiej", "bartosz", "bastien", "beatrice",
    "beatriz", "begona", "belen", "ben", "benjamin", "benoit", "bernard", "bernd", "bertrand", "beth",
    "bettina", "betty", "beverly", "bianca", "bilal", "bill", "birgit", "birgitta", "bjarne", "bjorn",
    "bob", "bogdan", "bonnie", "boris", "bozena", "bradley", "brandon", "brayden", "brenda", "brian",
    "brianna", "brigitte", "brittany", "bronwyn", "bruce", "bruno", "bryan", "burak", "caden", "callum",
    "camila", "camille", "caoimhe", "capucine", "carl", "carla", "carles", "carlos", "carmen", "carol",
    "caroline", "carsten", "catherine", "cecilia", "cedric", "celine", "cem", "cerys", "chantal",
    "charlene", "charles", "charlotte", "chen", "cheryl", "chinedu", "chioma", "chloe", "chris",
    "christian", "christina", "christine", "christopher", "cian", "ciara", "claire", "clara", "claudia",
    "clemence", "clemens", "clement", "cody", "colin", "colm", "concepcion", "connie", "conor", "consuelo",
    "corinne", "cormac", "cornelia", "craig", "cristian", "cristina", "cynthia", "cyril", "czeslaw",
    "dafydd", "dagmar", "daiki", "daisy", "dale", "damien", "dan", "daniel", "daniela", "danielle", "danny",
    "daria", "dariusz", "darnell", "darren", "dave", "david", "dawn", "deborah", "debra", "declan", "deepa",
    "deepak", "delphine", "denise", "deniz", "dennis", "derek", "deshawn", "detlef", "diana", "diane",
    "didier", "diego", "dieter", "dimitar", "dimitris", "dirk", "divya", "dmitri", "dmitry", "dolores",
    "dominik", "don", "donald", "donna", "doris", "dorota", "dorothy", "doug", "douglas", "dragan",
    "dragos", "duarte", "duc", "dylan", "edith", "eduardo", "edward", "eero", "eileen", "eilidh",
    "ekaterina", "ekkehard", "elaine", "eleanor", "elena", "eleni", "eli", "elias", "elif", "elisa",
    "elisabeth", "elizabeth", "elke", "ella", "ellen", "elodie", "elsa", "elzbieta", "emeka", "emiko",
    "emil", "emilia", "emilie", "emilio", "emily", "emine", "emma", "emre", "encarnacion", "enrique",
    "enzo", "eoin", "eric", "erica", "erik", "erika", "ernest", "ernesto", "erwin", "esperanza", "esteban",
    "esther", "ethan", "etienne", "euan", "eugene", "eva", "evelyn", "evgeny", "ewa", "ewald", "ewan",
    "fabian", "fabrice", "fadi", "faisal", "fang", "farah", "farid", "fatima", "fatma", "fatou", "federico",
    "felipe", "felix", "femi", "feng", "ferenc", "fergus", "fernando", "finja", "finn", "fintan", "fiona",
    "florence", "florian", "folake", "frances", "francesca", "francesco", "francis", "francisco",
    "francois", "francoise", "frank", "franz", "fred", "frederick", "freja", "frida", "friederike",
    "friedrich", "gabor", "gabriel", "gabriela", "gaelle", "galina", "gareth", "gary", "gaspard", "gaurav",
    "gavin", "geeta", "george", "georgi", "gerald", "gerard", "gerhard", "gerlinde", "gertrud", "ghislaine",
    "gilles", "gina", "giorgos", "giovanni", "gisela", "giulia", "giuseppe", "glenn", "gloria", "goncalo",
    "gonzalo", "goran", "gorka", "grace", "graham", "grainne", "grazyna", "greg", "gregor", "gregory",
    "greta", "grzegorz", "guadalupe", "gudrun", "guido", "guillaume", "guillermo", "gunilla", "gunnar",
    "gunter", "gunther", "gustav", "gustavo", "gwyneth", "habib", "hailey", "hakan", "haley", "halina",
    "hamish", "hamza", "hana", "hannah", "hannelore", "hans", "harald", "hari", "harold", "harper",
    "harriet", "harry", "hartmut", "haruka", "haruto", "hasan", "hassan", "hatice", "heather", "hector",
    "hedwig", "hege", "heidi", "heike", "heikki", "heinrich", "heinz", "helen", "helena", "helene", "helga",
    "helmut", "henning", "henri", "henriette", "henrique", "henry", "herbert", "hernan", "herve",
    "hildegard", "hina", "hiroshi", "hoa", "holger", "holly", "horst", "howard", "hubert", "hugo", "huong",
    "huseyin", "hussein", "hyun", "ian", "ibrahim", "ibrahima", "ida", "ignacio", "igor", "iker", "ildiko",
    "ilona", "ilse", "ilya", "imani", "imran", "indira", "ines", "ingo", "ingrid", "inigo", "inmaculada",
    "ioana", "ionut", "irena", "irene", "irina", "irmgard", "isaac", "isabel", "isabella", "isabelle",
    "ishaan", "isla", "istvan", "ivan", "ivaylo", "jacek", "jack", "jackson", "jacob", "jacqueline",
    "jacques", "jadwiga", "jaime", "jake", "jakob", "jakub", "jamal", "james", "jamie", "jan", "jana",
    "jane", "janet", "janice", "jannik", "jaroslav", "jaroslaw", "jasmine", "jason", "javier", "jayden",
    "jean", "jeff", "jeffrey", "jelena", "jennifer", "jens", "jeremy", "jerome", "jerry", "jerzy", "jesper",
    "jesse", "jessica", "jesus", "jie", "jill", "jim", "jimmy", "jing", "jiri", "jiwoo", "joachim", "joan",
    "joana", "joanna", "joao", "joaquin", "jocelyne", "jochen", "joe", "joel", "johan", "johann",
    "johannes", "john", "jonas", "jonathan", "jordan", "jordi", "jorg", "jorge", "jose", "josef", "joseph",
    "joshua", "joyce", "jozef", "juan", "juanita", "judith", "judy", "jukka", "julia", "julian", "juliana",
    "julie", "julien", "julio", "jurgen", "justin", "jutta", "kai", "kaisa", "kamal", "kamau", "kamil",
    "karan", "karen", "kari", "karim", "karin", "karl", "karol", "karsten", "katalin", "katarina",
    "katarzyna", "kate", "katerina", "katharina", "kathe", "katherine", "kathleen", "kathrin", "kathryn",
    "katja", "katrin", "kavita", "kayla", "kaylee", "kazimierz", "keiko", "keisha", "keith", "kelly", "ken",
    "kenji", "kenneth", "kenta", "kerstin", "kevin", "khadija", "khalid", "kiara", "kim", "kimberly",
    "kiran", "kirill", "kirsten", "kjell", "klaus", "knut", "kofi", "konrad", "konstantin", "kostas",
    "krishna", "kristen", "kristin", "krzysztof", "kurt", "kwame", "kyle", "laia", "lakshmi", "larisa",
    "larissa", "lars", "laszlo", "latisha", "latoya", "laura", "lauren", "laurence", "laurent", "lawrence",
    "layla", "lea", "leah", "lee", "leila", "leire", "lena", "leni", "lenka", "lennart", "leo", "leon",
    "leonardo", "leonie", "leonor", "lerato", "leslie", "leszek", "leticia", "lewis", "liam", "lillian",
    "lilou", "lily", "lina", "linda", "linh", "linnea", "lisa", "liselotte", "logan", "loic", "lois",
    "lola", "lorena", "lorenzo", "lori", "lothar", "louane", "louis", "louise", "lourdes", "luana", "luca",
    "lucas", "lucia", "lucie", "lucy", "ludmila", "ludovic", "ludwig", "luigi", "luis", "luisa", "luka",
    "lukas", "lukasz", "luke", "lupe", "lynn", "lyudmila", "maciej", "madison", "maelys", "maeve",
    "mafalda", "magdalena", "magnus", "mahesh", "mahmoud", "maike", "mairi", "makayla", "maksim",
    "malgorzata", "malik", "mamadou", "manfred", "manish", "manon", "manuel", "manuela", "marc", "marcel",
    "marcela", "marco", "marcos", "marcus", "marek", "margaret", "margarete", "margaux", "marguerite",
    "maria", "mariam", "mariana", "marie", "marilyn", "marina", "mario", "marion", "marit", "mariusz",
    "mark", "marketa", "marko", "markus", "marlene", "marta", "martha", "martin", "martina", "mary",
    "marzena", "mateo", "mathias", "mathieu", "mathilde", "mathis", "mats", "matteo", "matthew", "matthias",
    "maurice", "mauricio", "max", "maxime", "maximilian", "maximiliano", "maya", "mechthild", "meena",
    "meera", "megan", "mehdi", "mehmet", "mei", "meike", "melanie", "melissa", "mercedes", "mette", "mia",
    "michael", "michaela", "michal", "michel", "michelle", "miguel", "mihai", "mika", "mikael", "mike",
    "mikel", "mikhail", "mikko", "mila", "milan", "milica", "milos", "minh", "minjun", "mireille", "miriam",
    "miroslav", "miroslaw", "mohamed", "mohammed", "mohan", "mona", "monica", "monika", "monique",
    "montserrat", "morgane", "moritz", "moussa", "mukesh", "murat", "mustafa", "nabil", "nadezhda", "nadia",
    "nadine", "nadja", "nancy", "naoko", "nasser", "natalia", "natalie", "natalya", "natasha", "nathalie",
    "nathan", "neha", "neil", "nele", "nerea", "ngozi", "nguyet", "nia", "niamh", "nicholas", "nick",
    "nicola", "nicolas", "nicole", "niels", "nigel", "nikhil", "niklas", "nikola", "nikolai", "nikolay",
    "nikos", "nils", "nina", "nisha", "nitin", "njoroge", "noa", "noah", "noel", "noelia", "noemie",
    "nolan", "nomsa", "noor", "nora", "norbert", "norma", "norman", "nour", "nuno", "nuria", "oceane",
    "octavio", "odile", "oisin", "oksana", "olaf", "oleg", "oleksandr", "olga", "oliver", "olivia",
    "olivier", "oluwaseun", "omar", "ondrej", "oriol", "orla", "oscar", "oskar", "osman", "otieno", "otto",
    "ousmane", "owain", "owen", "oystein", "pablo", "padraig", "paisley", "paivi", "paloma", "pamela",
    "paolo", "pascal", "pascale", "patricia", "patrick", "paul", "paula", "pauline", "paulo", "pavel",
    "pawel", "pedro", "peggy", "pekka", "pernilla", "peter", "petr", "petra", "peyton", "phil", "philip",
    "philippe", "phillip", "phuong", "phyllis", "pierre", "pilar", "piotr", "plamen", "polina", "pooja",
    "pradeep", "prakash", "pranav", "preeti", "priya", "przemyslaw", "quentin", "rachel", "rafael",
    "rafaela", "rafal", "ragnar", "rahul", "raimund", "rainer", "raj", "rajesh", "rakesh", "ralf", "ralph",
    "ramesh", "ramiro", "ramon", "ramona", "randy", "rania", "raphael", "rashid", "raul", "ravi", "raymond",
    "rebecca", "regina", "regis", "reiner", "reinhard", "rekha", "remedios", "remi", "renata", "renate",
    "rene", "reza", "rhys", "ricardo", "richard", "rick", "rikke", "riley", "rita", "ritu", "rob", "robert",
    "roberta", "roberto", "robin", "rocio", "rodrigo", "rogelio", "roger", "rohan", "rohit", "roisin",
    "roland", "rolf", "romain", "roman", "ron", "ronald", "rosa", "rosalyn", "rosario", "rose", "rosemarie",
    "roswitha", "roy", "ruben", "rudiger", "rudolf", "ruediger", "rui", "rupert", "ruslan", "russell",
    "ruth", "ryan", "ryszard", "sabine", "sabrina", "sachin", "sakura", "salim", "sally", "salma",
    "salvador", "sam", "samantha", "sami", "samir", "samira", "samuel", "sandeep", "sandra", "sandrine",
    "sandy", "sanjana", "sanjay", "sanna", "santiago", "santosh", "saoirse", "sara", "sarah", "sascha",
    "savannah", "scott", "seamus", "sean", "sebastian", "sebastien", "selin", "seoyeon", "serge", "sergei",
    "sergey", "sergio", "serkan", "severine", "shannon", "sharon", "shawn", "sheila", "shirley", "shreya",
    "siddharth", "siegfried", "sigrid", "sigurd", "silke", "silvia", "simon", "simone", "sinead", "siobhan",
    "sipho", "skylar", "slawomir", "sneha", "snezana", "sofia", "sofie", "solange", "solene", "solveig",
    "sonia", "sonja", "sophia", "sophie", "soren", "sota", "stacy", "stanislav", "stanislaw", "stanley",
    "stefan", "stefanie", "steffen", "steffi", "stella", "stephane", "stephanie", "stephen", "steve",
    "steven", "stoyan", "stuart", "sture", "sunil", "sunita", "suresh", "susan", "susann", "susanna",
    "susanne", "suzanne", "sven", "svetlana", "swati", "swen", "sylvain", "sylvia", "sylvie", "szymon",
    "tadeusz", "tadhg", "takashi", "tamara", "tania", "tanisha", "tanja", "tanner", "tara", "tariq",
    "tatiana", "tatyana", "ted", "teodoro", "teresa", "terry", "thabo", "thea", "theo", "theodore",
    "theresa", "therese", "thiago", "thibault", "thierry", "thomas", "thorsten", "thuy", "tiago", "tiffany",
    "till", "tilman", "tim", "timeo", "timo", "timothy", "tina", "tobias", "todd", "tom", "tomas", "tomasz",
    "tommy", "tony", "torbjorn", "torsten", "tracy", "travis", "trevon", "trevor", "tristan", "trond",
    "tuan", "tunde", "tuomas", "tyler", "tyrone", "udo", "ulf", "ulrich", "ulrika", "ulrike", "uma", "unai",
    "ursula", "urszula", "uta", "ute", "uwe", "vaclav", "vadim", "valentin", "valentina", "valeria",
    "valerie", "valery", "vandana", "vanessa", "varun", "vasco", "vasilis", "vasily", "veikko", "vera",
    "verena", "veronica", "veronika", "veronique", "vesna", "vicente", "victor", "victoria", "vijay",
    "vikram", "viktor", "viktoria", "vincent", "vinicius", "vinod", "viola", "virginia", "virginie",
    "vishal", "vitaly", "viveka", "vivien", "vladimir", "volker", "vyacheslav", "walid", "walter",
    "waltraud", "wanda", "wanjiru", "wayne", "wei", "wendy", "werner", "wiebke", "wieslaw", "wilfried",
    "wilhelm", "william", "willie", "winfried", "winston", "wojciech", "wolfgang", "xavi", "xavier", "xiao",
    "ximena", "ximeno", "yan", "yang", "yann", "yannick", "yannis", "yaroslav", "yasin", "yasmin",
    "yassine", "yaw", "yelena", "yesenia", "ying", "yngve", "yoko", "yolanda", "youssef", "yui", "yuki",
    "yulia", "yuri", "yusuf", "yuto", "yves", "yvette", "yvonne", "zachary", "zahra", "zainab", "zanele",
    "zbigniew", "zdenek", "zdzislaw", "zeynep", "zhanna", "zoe", "zofia", "zoltan", "zoran", "zsofia",
    "zuzana",
];

/// Common family names of several languages, sorted.
#[rustfmt::skip]
const FAMILY: &[&str] = &[
    "adams", "adeyemi", "aguirre", "ahmed", "alexander", "allen", "almeida", "alonso", "alvarez",
    "andersen", "anderson", "andersson", "arslan", "asante", "aubert", "aubry", "aydin", "bachmann",
    "bailey", "baker", "balogun", "banerjee", "barbier", "barbieri", "barbosa", "barth", "bauer", "baumann",
    "becker", "begay", "behrens", "bell", "bennett", "berger", "bergmann", "bergstrom", "bernard", "besson",
    "bianchi", "boateng", "bohm", "bohme", "bonnet", "bose", "boyer", "brandt", "braun", "breton", "brooks",
    "brown", "bruno", "bryant", "busch", "butler", "byrne", "calvo", "campbell", "cano", "caron", "carter",
    "caruso", "carvalho", "castillo", "castro", "celik", "cerny", "chatterjee", "chaudhry", "chavez",
    "chen", "chevalier", "cho", "choi", "chopra", "clark", "claussen", "cole", "coleman", "collet",
    "collins", "colombo", "conti", "cook", "cooper", "correia", "cortes", "costa", "coulibaly", "cox",
    "cruz", "dabrowski", "dang", "davies", "davis", "delgado", "demir", "desai", "diallo", "diaz", "diop",
    "dlamini", "dogan", "doherty", "dominguez", "douglas", "doyle", "dreyer", "dubois", "dumas", "dupont",
    "dupuis", "duval", "dvorak", "ebert", "edwards", "esposito", "etxeberria", "evans", "eze", "fabre",
    "faure", "fernandes", "fernandez", "ferrari", "ferreira", "fischer", "fisher", "flores", "fontaine",
    "fontana", "ford", "foster", "fournier", "franke", "fraser", "fuchs", "gallagher", "gallego", "gallo",
    "garcia", "garnier", "garrido", "gauthier", "gibson", "girard", "giraud", "goikoetxea", "gomes",
    "gomez", "goncalves", "gonzales", "gonzalez", "graham", "gray", "greco", "green", "greene", "griffin",
    "guerin", "guerrero", "gunther", "gupta", "gutierrez", "haas", "haddad", "hahn", "hall", "hamdan",
    "hamilton", "hansen", "hansson", "harms", "harris", "harrison", "hartmann", "haugen", "hayes",
    "henderson", "hernandez", "herrera", "herrero", "hill", "hoang", "hoffman", "hoffmann", "hofmann",
    "horvath", "howard", "huang", "huber", "hughes", "hunt", "hussain", "ibarra", "iglesias", "ionescu",
    "iqbal", "ito", "ivanov", "iyer", "jackson", "jager", "jansen", "janssen", "jansson", "jenkins",
    "jensen", "jeong", "jimenez", "johansson", "johnson", "jones", "jordan", "joshi", "jung", "kaiser",
    "kamau", "kaminski", "kang", "kapoor", "karlsson", "kaya", "keita", "keller", "kelly", "kennedy",
    "khan", "khoury", "kilic", "kim", "king", "klein", "kobayashi", "koch", "korhonen", "kovacs",
    "kowalczyk", "kowalski", "kozlowski", "kramer", "kraus", "krause", "kruger", "kruse", "kuhn", "kumar",
    "kurz", "kuznetsov", "lacroix", "lambert", "lang", "lange", "larsen", "larsson", "leclerc", "lee",
    "lefevre", "legrand", "lehmann", "lemaire", "leroy", "lewandowski", "lewis", "li", "lin", "lindgren",
    "lindner", "lindqvist", "liu", "lombardi", "lopes", "lopez", "lorenz", "lozano", "luders", "ludwig",
    "lundqvist", "lynch", "macdonald", "mackenzie", "macleod", "maier", "makinen", "malhotra", "malik",
    "mancini", "mansour", "marchand", "marino", "marques", "marshall", "martin", "martinez", "martins",
    "mason", "masson", "mayer", "mccarthy", "mcdonald", "mclaughlin", "medina", "mehta", "meier", "mendez",
    "mendoza", "menon", "mensah", "mercier", "meyer", "miller", "mitchell", "molina", "moller", "moore",
    "morales", "moreau", "moreira", "morel", "moreno", "moretti", "morgan", "morin", "morris", "mukherjee",
    "muller", "murphy", "murray", "mwangi", "myers", "nagy", "nair", "nakamura", "nassar", "navarro",
    "ndiaye", "nelson", "neumann", "newman", "nguyen", "nielsen", "nieminen", "nilsson", "nkosi", "novak",
    "novotny", "nowak", "nwosu", "obrien", "oconnell", "okafor", "okeke", "okonkwo", "oliveira", "olsen",
    "olson", "olsson", "oneill", "ortega", "ortiz", "owens", "owusu", "ozturk", "papadopoulos", "parker",
    "patel", "patterson", "pedersen", "pereira", "perez", "perrin", "perry", "peters", "petersen",
    "peterson", "petit", "petrov", "pfeiffer", "pham", "phan", "phillips", "pinto", "pohl", "popescu",
    "popov", "poulain", "powell", "price", "prieto", "quinn", "rahman", "ramirez", "ramos", "reddy", "reed",
    "renard", "renaud", "reyes", "ribeiro", "ricci", "richard", "richards", "richardson", "richter",
    "riedel", "rivera", "rizzo", "roberts", "robertson", "robinson", "rodrigues", "rodriguez", "rogers",
    "romano", "romero", "rossi", "roth", "rousseau", "roussel", "roux", "ruiz", "russell", "russo", "ryan",
    "sahin", "salazar", "saleh", "sanchez", "sanders", "santos", "sauer", "schmid", "schmidt", "schmitt",
    "schmitz", "schneider", "scholz", "schreiber", "schroeder", "schubert", "schulte", "schulz", "schulze",
    "schumacher", "schuster", "schwarz", "scott", "seidel", "seidl", "serrano", "sharma", "siddiqui",
    "sidorov", "silva", "simmons", "simon", "sinclair", "singh", "smirnov", "smith", "sokolov", "solberg",
    "sousa", "stein", "stevens", "stewart", "suarez", "sullivan", "suzuki", "svensson", "svoboda", "szabo",
    "szymanski", "takahashi", "tanaka", "taylor", "teixeira", "thiel", "thomas", "thompson", "thomsen",
    "torres", "toth", "tran", "traore", "turner", "ullrich", "vargas", "vasquez", "verma", "vidal",
    "virtanen", "vogel", "vogt", "voigt", "volkov", "wagner", "walker", "wallace", "walsh", "walter",
    "wang", "ward", "washington", "watanabe", "watson", "weber", "weiss", "wells", "werner", "west",
    "white", "whitfield", "williams", "wilson", "winkler", "winter", "wisniewski", "wojcik", "wolf",
    "wolff", "wong", "wood", "woods", "wright", "wu", "yamamoto", "yang", "yilmaz", "yoon", "young",
    "zhang", "zhao", "zhou", "zhu", "ziegler", "zielinski", "zimmermann", "zubiri",
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

/// Forms of address that a name follows.
const HONORIFICS: &[&str] = &[
    "herr", "frau", "hr", "fr", "mr", "mrs", "ms", "miss", "dr", "prof", "madame", "monsieur", "mme", "mlle",
    "señor", "señora", "sr", "sra", "srta", "don", "doña", "signor", "signora", "dhr", "mevr", "pan", "pani",
];

/// A form of address and one to three capitalised words.
pub fn addressed(words: &[&str]) -> bool {
    let Some((first, rest)) = words.split_first() else { return false };
    HONORIFICS.contains(&first.trim_end_matches('.').to_lowercase().as_str())
        && first.chars().next().is_some_and(char::is_uppercase)
        && !rest.is_empty()
        && rest.iter().all(|word| is_capitalised(word))
}

/// Nothing but how somebody is addressed.
pub fn form_of_address(text: &str) -> bool {
    HONORIFICS.contains(&text.trim().trim_end_matches('.').to_lowercase().as_str())
}

fn is_capitalised(word: &str) -> bool {
    let mut letters = word.trim_end_matches('.').chars();
    letters.next().is_some_and(char::is_uppercase)
        && word.chars().count() > 1
        && letters.all(|c| c.is_alphabetic() || matches!(c, '-' | '\'' | '’'))
}

/// Two to four capitalised words, whatever they say: a name where the column is about a person.
pub fn shaped_like_name(text: &str) -> bool {
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    (2..=4).contains(&words.len())
        && words.iter().all(|word| is_capitalised(word) || PARTICLES.contains(word))
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
