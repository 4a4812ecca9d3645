"""What columns and words are called by senders, in some of their languages: for proposals only.

Nothing is read by it: what a proposal says of a column or a word stands until a person accepts it.
"""

# What the contract's columns are called elsewhere, folded: English, German, French, Spanish, Dutch.
NAMES: dict[str, tuple[str, ...]] = {
    "result_id": (
        "orderno", "ordernumber", "orderid", "accession", "accessionnumber", "labno", "specimenid",
        "sampleid", "sampleno", "requestid", "auftrag", "auftragsnummer", "auftragnr", "befundid",
        "befundnr", "probennummer", "numerodemande", "numerodossier", "peticion", "ordernummer",
        "monsternummer", "orderprocid", "orderkey", "accessionno", "accessionid", "requestno",
        "requestnumber", "labnumber", "labrefno", "reportid", "samplenumber", "specimennumber",
        "specimenno",
    ),
    "patient_id": (
        "patient", "patientno", "patientnumber", "mrn", "nhsnumber", "hospitalnumber", "pid",
        "patientennummer", "patientennr", "patientenid", "patnr", "patnummer", "patno", "patientnr",
        "ipp", "nip", "paciente", "nhc", "patientnummer", "nhsno", "patid", "patientkey",
        "personid", "hospitalno", "unitnumber", "crn", "medicalrecordnumber", "patientmrn",
    ),
    "collected_at": (
        "collected", "collectiondate", "collectiontime", "sampledate", "sampled", "datetaken",
        "specimendate", "drawn", "drawdate", "abnahme", "abnahmedatum", "entnahme", "entnahmedatum",
        "probenahme", "probendatum", "dateprelevement", "prelevement", "fechaextraccion",
        "fechatoma", "afnamedatum", "collectdate", "datecollected", "collecteddate",
        "collecteddatetime", "collectiondatetime", "sampledatetime", "sampletime",
        "sampletakendate", "specimentaken", "specimentakentime", "specimntakentime",
        "drawndatetime", "takenat", "takenon", "abnahmezeit", "abnahmezeitpunkt", "entnahmezeit",
        "entnahmezeitpunkt", "probenentnahme",
    ),
    "reported_at": (
        "reported", "reportdate", "resultdate", "resulted", "validated", "authorised", "authorized",
        "befunddatum", "validiert", "validierung", "freigabe", "dateresultat", "datevalidation",
        "fecharesultado", "fechavalidacion", "uitslagdatum", "resulttime", "resultdatetime",
        "reporteddate", "reportdatetime", "datereported", "verified", "verifieddate",
        "authoriseddate", "befund",
    ),
    "code": (
        "code", "testcode", "loinc", "loinccode", "analysiscode", "kuerzel", "kurzel",
        "testkuerzel", "analysekuerzel", "codeanalyse", "codigo", "codigoprueba", "bepalingcode",
        "parameter", "componentid", "testid", "assaycode", "analytecode",
    ),
    "code_system": ("codesystem", "codingsystem", "kodiersystem", "systemecodage"),
    "test_name": (
        "test", "testdescription", "description", "analyte", "investigation", "untersuchung",
        "bezeichnung", "analyse", "testbezeichnung", "libelle", "examen", "libelleanalyse",
        "prueba", "nombreprueba", "bepaling", "omschrijving", "componentname",
        "componentdescription", "assay", "assayname", "analytename", "testdesc", "parametername",
        "langtext", "analyt", "testlangtext", "analysenname", "klartext",
    ),
    "specimen": (
        "specimen", "specimentype", "sampletype", "material", "probenmaterial", "probenart",
        "naturepr", "naturedeprelevement", "muestra", "tipomuestra", "materiaal", "probe",
        "untersuchungsmaterial", "probentyp",
    ),
    "value": (
        "value", "result", "resultvalue", "testresult", "ergebnis", "messwert", "wert", "resultat",
        "valeur", "resultado", "valor", "uitslag", "waarde", "ordvalue", "resulttext",
    ),
    "unit": (
        "unit", "units", "unitofmeasure", "uom", "einheit", "masseinheit", "unite", "unites",
        "unidad", "unidades", "eenheid", "referenceunit", "referenceunits", "resultunit",
        "resultunits", "einh", "dim", "dimension",
    ),
    "status": (
        "status", "resultstatus", "state", "befundstatus", "stand", "ergebnisstatus", "statut",
        "etat", "estado", "resultstatusc",
    ),
    "clinic_id": (
        "clinic", "location", "ward", "requester", "orderedby", "requestinglocation",
        "practicecode", "surgery", "einsender", "station", "klinik", "auftraggeber", "service",
        "prescripteur", "unidadsolicitante", "aanvrager", "afdeling", "clinicname", "department",
        "departmentid", "practice", "practiceid", "requestingpractice", "requestingclinic",
        "orderinglocation", "facility", "facilityid", "clientcode",
    ),
    "birth_date": (
        "dateofbirth", "dob", "born", "geburtsdatum", "geboren", "gebdat", "datenaissance",
        "fechanacimiento", "geboortedatum", "patientdob", "birthday",
    ),
    "sex": ("sex", "gender", "geschlecht", "sexe", "sexo", "geslacht", "patientsex"),
    "deceased_on": ("deceasedon", "dateofdeath", "died", "sterbedatum", "todesdatum", "datedeces"),
    "opted_out": ("optedout", "optout", "widerspruch"),
    "recorded_on": (
        "recordedon", "recorded", "diagnosisdate", "datediagnosed", "diagnosedatum", "datum",
        "datediagnostic",
    ),
    "resolved_on": ("resolvedon", "resolved", "enddate", "endedatum"),
    "medication_id": ("medicationid", "prescriptionid", "administrationid", "verordnung"),
    "kind": ("kind", "type"),
    "started_on": (
        "startedon", "started", "startdate", "given", "administered", "dateadministered", "beginn",
        "gabe", "datedebut", "fechainicio", "startdatum",
    ),
    "ended_on": ("endedon", "ended", "enddate", "stopdate", "ende", "datefin", "einddatum"),
    "name": ("name", "drugname", "medication", "drug", "praeparat", "wirkstoff", "medicament"),
    "dose": ("dose", "dosage", "dosis"),
    "dose_unit": ("doseunit", "dosisunit", "dosiseinheit"),
    "route": ("route", "applikation", "verabreichung", "voie", "via"),
}  # fmt: skip
# What the number of a stay or a visit is called, folded: one person has another with each of them.
CASE_NAME = (
    "(pat|patient|patienten|hospital|hosp|behandlungs|krankenhaus|numero|no)?(enc)?"
    "(fall|case|visit|besuch|encounter|episode|episodio|admission|admit|hadm|aufnahme|"
    "stay|sejour|opname|csn|fin|account|acct)"
    "(no|nr|num|number|nummer|nbr|id|ident|identifier|key|kennung|csn|csnid)?"
)
STATUS_WORDS = {
    "final": (
        "endgültig", "endbefund", "validiert", "freigegeben", "complete", "completed", "validated",
        "verified", "authorised", "authorized", "définitif", "validé", "definitivo", "validado",
        "definitief", "lopullinen",
    ),
    "preliminary": (
        "vorläufig", "teilbefund", "partial", "provisional", "interim", "provisoire", "provisional",
        "preliminar", "voorlopig", "alustava",
    ),
    "corrected": (
        "korrigiert", "korrektur", "revised", "rectifié", "corrigé", "corregido", "gecorrigeerd",
    ),
    "amended": ("geändert", "ergänzt", "modified", "modifié", "modificado"),
    "cancelled": (
        "storniert", "canceled", "annullé", "annulé", "anulado", "cancelado", "geannuleerd",
        "rejected", "unsuitable",
    ),
    "registered": ("angefordert", "ordered", "pending", "in arbeit", "en cours", "pendiente"),
    "entered-in-error": ("irrtum", "fehleingabe", "error", "erreur"),
}  # fmt: skip
SEX_WORDS = {
    "female": ("w", "weiblich", "femme", "féminin", "mujer", "femenino", "vrouw", "v", "woman"),
    "male": ("männlich", "homme", "masculin", "h", "hombre", "masculino", "man"),
    "other": ("d", "divers", "x"),
    "unknown": ("u", "unbekannt", "inconnu", "desconocido", "onbekend"),
}
