"""Words, numbers and names in comparable form; refusals told from answers."""

from __future__ import annotations

import random
import time

import pytest

from pytest_ragcheck.lexical import WordKind, content_keys, content_words, fold, is_refusal, stem, word_readings


def keys(text):
    return [word.key for word in content_words(text)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,000 hours", "1000 hours"),
        ("one thousand hours", "1000 hours"),
        ("$1.5 million", "$1,500,000"),
        ("two and a half", "2 and a half"),
        ("twenty-five days", "25 days"),
        ("twenty five days", "25 days"),
        ("2.50", "2.5"),
        ("007", "7"),
        ("30%", "30 percent"),
        ("10am", "10 am"),
        ("the 2nd", "the 2"),
        ("the 1990s", "1990"),
        ("１２", "12"),
        ("١٢", "12"),
        ("employee's", "employees"),
        ("employees’", "employee"),
        ("carried", "carry"),
        ("policies", "policy"),
        ("stopped", "stopping"),
        ("reimbursed", "reimburse"),
        ("leaves", "leaving"),
        ("paid", "pay"),
        ("children", "child"),
        ("counselling", "counseling"),
        ("enrolled", "enroll"),
        ("STRASSE", "straße"),
        ("ﬁles", "files"),
        ("non‑partisan", "non-partisan"),
        ("don’t sign", "do sign"),
    ],
)
def test_spellings_of_the_same_have_the_same_keys(one, other):
    assert keys(one) == keys(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("6 hours", "60 hours"),
        ("1.5", "15"),
        ("version 1.2.3", "version 1.23"),
        ("10 million", "10 billion"),
        ("paid", "unpaid"),
        ("use", "useful"),
        ("organ", "organization"),
        ("policy", "police"),
    ],
)
def test_different_things_have_different_keys(one, other):
    assert keys(one) != keys(other)


def test_function_words_are_no_content():
    assert keys("It is what they would have been, and you shouldn't've") == []
    assert keys("No.") == []
    assert keys("") == []
    assert keys(" \n\t—…!") == []


def test_kinds():
    kinds = {
        word.text: word.kind for word in content_words("Staff in Paris use FMLA and form B2B within 30 days. Ask HR.")
    }
    assert kinds["Staff"] is WordKind.WORD
    assert kinds["Paris"] is WordKind.NAME
    assert kinds["FMLA"] is WordKind.NAME
    assert kinds["B2B"] is WordKind.NAME
    assert kinds["30"] is WordKind.NUMBER
    assert kinds["days"] is WordKind.WORD
    assert kinds["Ask"] is WordKind.WORD
    assert kinds["HR"] is WordKind.NAME


def test_a_word_that_opens_a_list_item_or_heading_is_no_name():
    assert all(word.kind is WordKind.WORD for word in content_words("# Leave\n\n- Annual\n* **Sick**\n\nOther: More"))


def test_one_is_a_number_only_before_a_power_of_ten():
    assert [word.kind for word in content_words("one hour")] == [WordKind.WORD, WordKind.WORD]
    assert keys("one hour") == keys("1 hour")
    assert content_words("one hundred")[0].kind is WordKind.NUMBER


def test_scripts_without_spaces_are_compared_by_pairs():
    assert content_keys("有給休暇は20日です") & content_keys("20日の有給休暇") >= {"有給", "給休", "休暇", "20"}
    assert content_keys("วันลาพักร้อน")
    assert content_keys("Привет, как дела с отпуском?")
    assert content_keys("إجازة سنوية مدتها ٣٠ يوما") >= {"30"}


def test_stem_agrees_with_the_published_examples():
    # From the tables of steps 1a, 1b and 1c in Porter (1980), with the silent e of step 5.
    published = {
        "caresses": "caress",
        "ponies": "poni",
        "cats": "cat",
        "feed": "feed",
        "plastered": "plaster",
        "bled": "bled",
        "motoring": "motor",
        "sing": "sing",
        "hopping": "hop",
        "tanned": "tan",
        "falling": "fall",
        "hissing": "hiss",
        "fizzed": "fizz",
        "failing": "fail",
        "filing": "file",
        "happy": "happi",
        "sky": "sky",
        "probate": "probat",
        "rate": "rate",
        "cease": "ceas",
        "controll": "control",
        "roll": "roll",
    }
    assert {word: stem(word) for word in published} == published


def test_any_text_is_taken():
    rng = random.Random(7)
    alphabet = "aZé漢ไ\u0301٣½ﬁ'’-.,%$ \n\t#*|[]()0123456789\u200b\U0001f600\ud800"
    for _ in range(400):
        text = "".join(rng.choices(alphabet, k=rng.randint(0, 40)))
        words = content_words(text)
        assert all(word.key for word in words)
        assert content_keys(text) == {word.key for reading in word_readings(text) for word in reading}
        assert fold(fold(text)) == fold(text)
        assert is_refusal(text) in (True, False)


REFUSALS = """\
I could not find this in the provided documents.
I couldn't find any information about sabbaticals in the provided documents.
The handbook does not mention a sabbatical.
The handbook doesn't specify how many days are allowed.
There is not enough information in the context to answer this question.
I don't know.
I don't know the answer to that.
I cannot answer this question based on the provided context.
I'm sorry, but I can't answer that from the documents provided.
The documents do not answer this question.
The provided context does not contain information about gym contributions.
The context does not provide any details on the starting salary.
Unfortunately, the retrieved passages do not address this topic.
Based on the provided documents, I am unable to determine the starting salary of a GS-13 engineer.
Based on the information provided, it is not possible to determine the amount.
No information about airline upgrades is provided in the documents.
No relevant information found.
There is no mention of pets in the handbook.
The excerpts make no mention of stock options.
None of the provided documents mention pay in lieu of notice.
Nothing in the handbook addresses whether dogs are allowed.
I do not have enough information to answer this question.
I don't have access to that information.
Not specified in the documents.
Unknown.
N/A
This question cannot be answered from the given context.
The handbook pages do not say; they only mention that gym memberships can be a flexible spending account expense with a doctor's note.
The handbook pages do not mention pay in lieu of notice; they only ask that offboarding starts at least two weeks before the last day.
The pages do not give salaries by grade and place; they refer to OPM's locality pay tables.
The pages give the maximum percentages by rating, not the amounts that were paid; this cannot be answered from them.
The handbook pages say nothing about stock options or equity; this cannot be answered from them.
I could not find information about that in the handbook. You may want to contact HR for details.
I apologize, but the documents I was given don't include anything about airline upgrades. Please check with your travel office.
While the handbook describes several kinds of leave, it does not mention sabbaticals.
The documents discuss annual leave and sick leave, but do not mention sabbatical leave.
The documents discuss annual leave and sick leave, but they do not mention sabbatical leave.
The average bonus is not stated in the provided documents.
**I wasn't able to find an answer** in the context.
It is unclear from the provided context whether dogs are allowed.
This topic is outside the scope of the provided documents.
I have no information on the average performance bonus paid last December.
The answer to this question is not in the provided context.
The context lacks information about this.
I found no mention of free upgrades in the documents.
The handbook is silent on this point.
Sorry, I can't help with that.
There isn't any information regarding sabbaticals in these excerpts. The excerpts cover annual leave, sick leave and parental leave.
The provided documents do not explicitly mention the starting salary. Could you share a more specific document?
Cannot be determined from the provided context.
I was not able to locate a policy on dogs in the office.
The information you are asking for isn't available in the documents.
I'm not aware of any policy on this in the handbook.
Insufficient information.
As an AI assistant, I cannot provide that information.
I can't determine the exact figure from the documents.
The policy does not state whether contractors are eligible.
The sources I was given don't say.
The documents don't appear to contain the answer.
The question of stock options is not addressed in the handbook.
Airline upgrades are not covered in the provided text.
The provided excerpts contain no reference to a stock option programme.
I'm unable to find details regarding pet policies within the supplied documentation.
Based on the context, there's no indication of what the average bonus was.
The text does not say how much TTS contributes toward a gym.
Sorry, but the given passages don't contain the answer to your question.
It's not mentioned in the handbook.
That information isn't provided.
The documents provided focus on leave policies and do not include anything on sabbaticals.
I have reviewed the provided documents, and none of them mention a sabbatical.
I reviewed the context but couldn't find the starting salary.
The retrieved context doesn't include salary figures. For current figures, consult OPM's pay tables.
After reviewing the provided documents, I did not find any reference to airline upgrades.
The provided information is insufficient to answer the question.
The context is insufficient to determine this.
There's insufficient context to answer.
Your question about stock options can't be answered using these documents.
The knowledge base doesn't have any info on that.
This isn't something the handbook covers.
The handbook doesn't cover this.
No answer can be found in the given documents.
I must decline to answer because the documents do not cover it.
I'm afraid the documents do not contain that.
Not enough information.
The specific amount is not given in the context provided.
Neither document mentions paid sabbaticals.
Regrettably, I can't locate that in the materials.
The passages above do not contain information on how many weeks of pay in lieu of notice an employee gets.
We don't have that information in the handbook.
I could find nothing about dogs.
Information about the gym subsidy is not available in the provided sources.
The handbook only mentions a doctor's note for gym memberships; it does not state a contribution.
No mention is made of free upgrades.
I don't see anything about this in the documents.
The answer cannot be determined from the information given.
The document does not provide specific information regarding the starting salary of a GS-13 engineer in Chicago. It does, however, refer readers to OPM's locality pay tables.
I don't have information about the gym in the Washington office.
There is no information available about that in the handbook.
The provided documents do not contain information about sabbatical leave. They describe annual leave, sick leave, and parental leave. If you need more information, please contact your supervisor.
Unfortunately I was unable to find an answer to your question.
The text doesn't tell us.
Nothing is said about that in the documents.
""".splitlines()

ANSWERS = """\
The policy does not mention contractors, but employees get 10 days.
Employees earn six hours of annual leave per pay period.
No. CUI can never be stored on a personal machine; the handbook gives no exception.
No. A relocation of 120 days or less does not have to be reported to PeopleOps.
Expired award leave cannot be recovered.
You cannot carry over more than 240 hours.
The handbook does not allow dogs in the office.
If you do not know your supervisor, ask HR before you file the form.
Although the handbook doesn't mention your case explicitly, all employees accrue four hours of sick leave per pay period.
You get 10 days of leave. The documents do not mention whether it carries over.
Guests cannot be compensated and the talk must not be a sales pitch.
Credit hours are not available on a standard schedule.
Not available on a standard schedule; only flexible schedules earn credit hours.
Expenses that are not mentioned in the policy are not reimbursed.
Employees not listed in the document must register with HR.
No documents are required for meals under $75.
No evidence of insurance is required for domestic travel.
No information may be shared with vendors.
Insufficient funds lead to cancellation of the request.
The plan does not cover cosmetic surgery.
The insurance policy does not cover damage by floods.
We cannot provide reimbursements over $75 without a receipt.
We do not have any offices in Paris.
I cannot find an exact figure, but the handbook says the limit is 24 hours.
The documents don't give a number for contractors; federal employees, on the other hand, receive 12 weeks.
Do not turn the computer off; email itservicedesk@gsa.gov.
No
Yes.
240 hours.
The deadline is unknown to most employees: April 30.
Contact the Workforce Relations HR Specialist.
Please email itservicedesk@gsa.gov within one hour.
You should contact your supervisor.
Managers may decline a request when staffing is short.
It is not possible to carry over more than 240 hours.
Contractors are outside the scope of this policy.
There is no maximum amount of sick leave you can accrue.
There is no cap.
Travel comp time is forfeited when you leave GSA and is not paid out.
The form must not contain personal information.
If the information is not available in the system, call the help desk within two days.
Employees must say why the information was not provided.
The maximum is 240 hours. I could not find anything about exceptions.
Sick leave has no cap. Annual leave is capped at 240 hours.
The report found no evidence of fraud.
The study did not find any link between coffee and cancer.
The agreement does not include a non-compete clause, so employees may join competitors.
Lodging, rental cars, gasoline and any other expense over $75; meals do not need a receipt.
The handbook states that the rate is 75%, and the documents do not list exceptions.
Neither. Guests cannot be compensated.
The handbook says that sick leave may be used for bereavement.
It does not expire.
They do not need a receipt.
They do not have to be reported to PeopleOps.
It does not include weekends.
The amount does not include tax.
The report must list all expenses.
Your agreement does not end when you change teams.
This information must be kept for three years.
Personal data cannot be shared outside GSA.
The results are not available until March 15.
Reports are not available on mobile devices.
You may not know the exact date, so enter an estimate.
I recommend the flexible schedule: you can earn credit hours.
You must find a notary.
The information is stored for 3 years in the archive.
Data not provided by April 30 is treated as missing, and the claim is closed.
The form does not have a signature field, so send it by email.
The documents list four requirements: a form, a certification, a timesheet report and an explanation.
Unknown senders should be reported to itservicedesk@gsa.gov.
Veterans with a rating of 30 percent or more get up to 104 hours.
Nobody can say in advance; approval takes three days on average.
No, unused travel comp time is forfeited.
No. It is not paid out.
No information is shared with your manager when you call the Employee Assistance Program.
The documentation must be submitted within 15 days, and incomplete documentation cannot be accepted.
Your records do not leave the agency.
Although no exact date is specified, claims are usually paid within two weeks.
The guide does not give an exact number, but recommends three to five weeks.
The database does not store passwords.
The contract does not state a maximum, so any number of hours can be carried over.
The handbook does not require a receipt for meals.
She could not find her badge.
You can't answer calls while driving.
Annual leave is paid out. Award leave is not.
The policy covers lodging and meals; it does not cover alcohol.
Only lodging and rental cars; the policy does not cover laundry.
Term employees cannot be given more than 104 hours.
There is no information desk in the building; go to room 12.
The report does not include personal names because they were removed in 2024.
""".splitlines()


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals(text):
    assert is_refusal(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_answers_are_no_refusals(text):
    assert not is_refusal(text)


def test_an_empty_text_is_no_refusal():
    assert not is_refusal("")
    assert not is_refusal(" \n")


@pytest.mark.parametrize("text", REFUSALS[::7])
def test_a_refusal_with_an_answer_is_no_refusal(text):
    if "cannot be answered" not in text and "cannot answer this question" not in text:
        assert not is_refusal(f"Employees earn six hours of annual leave per pay period. {text}")
        assert not is_refusal(f"{text} However, employees earn six hours of annual leave per pay period.")


@pytest.mark.parametrize(
    "piece",
    ["the ", "there is no a ", "i cannot ", "the document ", "is not ", ", ", "for ", "it is unclear ", "(" * 9],
)
def test_hostile_texts_cost_little(piece):
    started = time.process_time()
    assert not is_refusal((piece * 4000)[:4000] + "x" * 100_000)
    is_refusal((piece * 4000)[:4000])
    assert time.process_time() - started < 2
