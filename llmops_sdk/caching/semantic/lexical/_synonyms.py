"""Words and phrases that customers use for the same thing, in groups named by their first entry."""

from __future__ import annotations

__all__ = ["FORMS", "PHRASES", "SYNONYMS"]

# Single words, after the ending of a plural or a verb is off. Only words that hardly change the answer where one stands
# for the other. Written from general knowledge of how customers write.
_WORDS = """
    shop store, start begin commence, close shut, buy purchase, get obtain acquire, need require, send dispatch,
    fix repair mend, phone telephone, mobile cellphone, call ring, price cost fee, luggage baggage,
    vaccine jab vaccination shot, kid child, holiday vacation, flat apartment, film movie, lorry truck,
    rubbish trash garbage, car vehicle auto automobile, chemist pharmacy pharmacist, doctor gp physician,
    lawyer solicitor attorney, photo photograph picture pic, ad advert advertisement, parcel package shipment,
    road street, book booking reserve reservation, big large, small little, fast quick rapid, near nearby,
    choose select pick, show display, make create, make build, help assist, allow permit let, happen occur,
    company firm, boss manager, employee staff, earnings income, couch sofa, cv resume, error fault,
    faulty defective broken, mistake error, document paperwork, try attempt, answer reply respond,
    discover find locate, change update amend modify edit alter switch, move transfer, dispute challenge contest,
    increase raise, decrease reduce lower, agency agent, activate enable, deactivate disable, previous earlier prior,
    obtain get, info information detail, quantity amount, yearly annual annually, internet broadband, wifi wi-fi,
    usa america, uk britain, pc computer, pwd password passcode, pw password, acct account,
    txn transaction, temp temporary, max maximum, min minimum, dept department, id identification, tv television,
    fridge refrigerator, bike bicycle, plane aircraft aeroplane airplane, ticket fare, kilo kg kilogram kilogramme,
    frequently often, incorrect wrong, champion winner, student pupil, teen teenager, mum mom mother, dad father,
    grandma grandmother, grandad grandfather, expire lapse, elderly old, submit lodge, register enrol enroll,
    enquiry query question inquiry, additional extra, toilet restroom bathroom, petrol gasoline, cheque check,
    complain complaint, apply application, deploy deployment, cancel cancellation, register registration,
    activate activation, pay payment, verify verification, renew renewal, install installation,
    subscribe subscription, form formation, refund reimbursement reimburse, withdraw withdrawal, confirm confirmation,
    translate translation, define definition, mean meaning, explain explanation, transact transaction,
    compensate compensation, operate operation, lost missing, decline reject, identical same, reason cause,
    lock freeze, unlock unfreeze, post mail, stolen nicked, wage salary pay, delete erase remove,
    deliver delivery ship shipping, abroad overseas, voucher coupon, cheap inexpensive affordable, expensive costly,
    medicine medication, flu influenza, sms text, postcode zip zipcode, timetable schedule, garden yard, tap faucet,
    nappy diaper, pavement sidewalk, motorway freeway highway, lift elevator, football soccer, maths math mathematics,
    university uni, term semester, prison jail, sick ill unwell, illness sickness, baby infant,
    reschedule rearrange rebook, swap exchange, quote estimate, contain include,
    applicant candidate, track trace, folder directory, collect pickup, continue resume, fastest quickest,
    biggest largest, nearest closest, necessary needed, postpone delay, repay payback, reset resetting,
    helpdesk support, contact reach, often frequently, permit allow permitted, view see, complete finish, limit cap,
    hire rent lease, enter input, spare extra, demonstrate show, occasionally sometimes, approximately roughly,
    whole entire, damaged broken, frozen frosted, visit attend, permission consent, notify inform tell,
    alternative substitute, totally completely, rapidly quickly, shut close, end terminate
"""

# Phrases of several words, after contractions are written out and letters are small; the second part stands for them.
_PHRASES = """
    what kind of = what, what type of = what, what sort of = what, which kind of = what, which type of = what,
    two factor authentication = 2fa, two factor auth = 2fa, two step verification = 2fa,
    2 factor authentication = 2fa, 2 step verification = 2fa, multi factor authentication = mfa,
    united states of america = usa, united states = usa, the us = usa, the u s = usa, united kingdom = uk,
    great britain = uk, european union = eu, wi fi = wifi, e mail = email, log on = login, log in = login,
    sign in = login, log into = login, sign into = login, log out = logout, sign out = logout, log off = logout,
    sign up = register, get rid of = delete, turn on = enable, switch on = enable, turn off = disable,
    switch off = disable, set up = create, make a booking = book, make a reservation = book,
    make an appointment = book appointment, make a payment = pay, make a complaint = complain, make a claim = claim,
    make a transfer = transfer, put in a claim = claim, submit a claim = claim, get a refund = refund,
    get my money back = refund, money back = refund, get hold of = contact, get in touch with = contact,
    get in contact with = contact, speak to = contact, talk to = contact, reach out to = contact,
    speak with = contact, talk with = contact, find out = know, look for = find, look up = find, send back = return,
    give back = return, bring back = return, go live = activate, be activated = activate, annual leave = holiday,
    hand luggage = cabin luggage, hand baggage = cabin luggage, cabin bag = cabin luggage,
    carry on luggage = cabin luggage, carry on bag = cabin luggage, swimming pool = pool, cash machine = atm,
    cash point = atm, sold out = unavailable, each month = per month, every month = per month, a month = per month,
    monthly = per month, each year = per year, every year = per year, a year = per year, a week = per week,
    each week = per week, every week = per week, a day = per day, each day = per day, every day = per day,
    an hour = per hour, bank holiday = bankholiday, checking account = current account,
    saving account = savings account, contact number = phone number, post office = postoffice,
    credit card = creditcard, debit card = debitcard, stay open = open, be open = open, in advance = ahead,
    no claims = noclaims, at no extra cost = free, at no cost = free, free of charge = free, for free = free,
    without charge = free, without paying = free, have to pay = pay, is needed = need, are needed = need,
    is required = need, are required = need, be needed = need, prior to = before, as well as = and, next to = near,
    close to = near, look like = resemble, last name = surname, family name = surname, opening times = opening hours,
    opening time = opening hours, business hours = opening hours, go about = go about, united arab emirates = uae,
    new york city = nyc, power cut = poweroutage, power outage = poweroutage, how come = why, what is the reason = why,
    what is the reason why = why, for what reason = why, what reason = why, pin number = pin, atm machine = atm,
    is able to = can, are able to = can, unable to = not can, not able to = not can, not allowed to = not can,
    not possible to = not can, whether or not = whether, as soon as possible = asap, place of birth = birthplace,
    date of birth = birthdate, setup = create, customer services = customer support,
    customer service = customer support, customer care = customer support, help desk = helpdesk, cell phone = mobile,
    mobile phone = mobile, text message = sms, zip code = postcode, post code = postcode, pick up = collect,
    fill in = complete, fill out = complete, hand in = submit, send in = submit, call off = cancel,
    put off = postpone, carry on = continue, pay off = repay, pay back = repay, high school = secondary school,
    car park = parking, parking lot = parking, driving licence = driving license, drivers license = driving license,
    driver license = driving license, driver licence = driving license, number plate = license plate,
    rate of exchange = exchange rate, conversion rate = exchange rate, promo code = discount code,
    promotion code = discount code, cash back = cashback, estate agent = realtor, print out = print, top up = topup,
    back up = backup, check in = checkin, check out = checkout, web site = website, on line = online,
    what happens when = what happens if, in case = if, because of = due to, in order to = to, so as to = to,
    the best way = the way, instead of = rather than, a lot of = many, lots of = many, as of = from,
    right away = immediately, straight away = immediately, at once = immediately, throw away = discard,
    dispose of = discard, take part in = join, sign up for = register for, get started with = start,
    hold on to = keep
"""

# The first form is the one that is compared: irregular forms, and words whose ending is no ending.
_FORMS = """
    be is are am was were been being, have has had having, do does did done doing, go goes went gone going,
    pay paid pays paying, send sent, buy bought, sell sold, get got gotten getting, give gave given, take took taken,
    make made making, find found, lose lost losing, leave left, keep kept, tell told, think thought, bring brought,
    break broke broken, steal stole stolen, choose chose chosen, write wrote written, speak spoke spoken,
    see saw seen, know knew known, come came coming, begin began begun, spend spent, hold held, mean meant, meet met,
    build built, catch caught, teach taught, fly flew flown, drive drove driven, freeze froze frozen,
    forget forgot forgotten, eat ate eaten, drink drank drunk, win won, grow grew grown, child children,
    person people, foot feet, tooth teeth, mouse mice, life lives, knife knives, wife wives, leaf leaves, half halves,
    shelf shelves, die died dying, lie lied lying, tie tied tying, news news, series series, always always,
    address addresses, bus buses, gas gas, this this, plus plus, status status, perhaps perhaps, species species,
    lens lens, canvas canvas, atlas atlas, business businesses, access access, process processes, less less,
    unless unless, across across, pass passes passed passing, miss missed misses missing, lens lenses, yes yes,
    his his, its its, us us, as as, thus thus, various various, previous previous, during during, thing things,
    something something, nothing nothing, everything everything, anything anything, king king, string strings,
    ring rings ringing, spring spring, sibling siblings, ceiling ceilings, morning mornings, evening evenings,
    building buildings, parking parking, training training, meeting meetings, wedding weddings, hearing hearings,
    savings savings saving, clothing clothing, heading headings, setting settings, reading reading,
    need needs needed needing, feed feeds fed, speed speeds, seed seeds, red red, bed beds, wed weds, hundred hundred,
    feed feed, exceed exceeds exceeded, proceed proceeds, used used, married married, unmarried unmarried
"""


def _groups(lines: str) -> dict[str, str]:
    first: dict[str, str] = {}
    for group in lines.split(","):
        name, *others = group.split()
        first.setdefault(name, name)
        for one in others:
            first.setdefault(one, name)
    return first


FORMS = _groups(_FORMS)


def _read_phrases() -> dict[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]]:
    by_first: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
    for phrase in _PHRASES.split(","):
        left, _, right = phrase.partition(" = ")
        words = tuple(left.split())
        by_first.setdefault(words[0], []).append((words, tuple(right.split())))
    return {first: tuple(sorted(some, key=lambda one: -len(one[0]))) for first, some in by_first.items()}


PHRASES = _read_phrases()
SYNONYMS = _groups(_WORDS)
