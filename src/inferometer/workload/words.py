"""Short, frequent English words, each of them one token after a space in practically every BPE vocabulary."""

from __future__ import annotations

# Short and frequent: byte-pair training merges such words first, also in vocabularies of 32,000 pieces.
_TEXT = """
able about above access account across action active actual add address advance affect after again
against age agent ago agree air all allow almost always among amount an and animal annual answer any
appear apply are area arm arrive art article as ask aspect assume at atom attack attempt author
average avoid award aware away back bad balance base basic battle be beat become bed been before
began begin behind being believe below best better between beyond birth bit black block blood blue
board body book born both bottom box boy break brief bright bring broad broke brought budget build
busy but button buy by call came camera can capital car career carry case caught cause cell center
century certain chain chance change charge check child choice choose church circle citizen city
civil claim class clean clear client climb close coast code collect college color column come
comment common company compare concept concern contain context control core corner correct cost
could count country couple course court cover covered create cry culture current custom cut cycle
daily damage danger dark data date day debate decade decide decimal deep defense degree deliver
demand depend depth design detail device did die digital direct display distant divide do doctor
does dog done door doubt down draw dream drive driver drop during each early earn earth easily east
easy eat edge editor effect eight either element else email employ end energy engine enjoy enough
ensure enter entire entry equal evening event ever every exact example except exist expand expect
explain eye face fact factor fail fair fall false family famous far farm fast father favor feature
federal feed feel feet fell felt few field figure file fill film filter final finance find fine
finish fire first fit five fix floor flow focus follow food foot for force foreign forget form
formal forward found four free freedom fresh friend from front full fun fund future gain game gave
general get gift girl give glass global go goal golden gone good got grade grant great green group
grow growth guess guide habit had hand handle happen happy hard has hat have he head health hear
heard heart heavy held help her hide high highly hill him himself his history hit hold home honor
hope horse host hot hour house how however huge human hundred idea if image imagine impact in
include income index input inside install invent invite is issue it item job join journey jump just
keep kept key kind knew know label labor lack land large last late later laugh launch law layer lead
leader learn least leave left leg length lesson let letter level liberal library license life lift
light like limit line link list listen little live local locate lock long look lost lot low lower
machine made mail main major make man manage manager manner many map mark market match matter may
maybe me mean measure medal media medical meet meeting member memory men mental menu message meter
method middle mile million mind mine minute miss mix mixed mobile mode model modern moment money
monitor month more morning most mother mount mouth move movie much music my name native natural
nature near nearly need neither network never new next night no normal north note nothing notice now
number object observe obvious of off offer office officer often oil old on once one online only open
operate opinion option or order organ origin other our out outside over own package page panel paper
park part partner party pass past patient pattern pay peace people percent perfect perhaps period
permit person photo pick picture piece place plan play player please point police policy popular
post power prefer prepare present press pretty prevent print private problem process produce product
program project promise proper protect protein proud prove provide public publish purpose push
quality quick quite quote race radio rail raise ran random range rapid rare rate rather ratio raw
reach read reader ready real really reason receive recent recipe record red reduce refer refuse
regard region regular reject relate release remain remote remove repair repeat replace reply report
request require respond rest result reveal revenue review right ring rise risk river road robot role
roll room root round row rule run safe said salary sale same sample save saw say scale school
science score screen script sea search season seat second section secure see seek seem select sell
send sense sent series serious serve server service session set settle seven several shall shape
share she shift ship shock shoot shop short should shout show shower side sight sign silent similar
simple since single sit size skill sky sleep slow smart smile so social society soft soil soldier
solid solve some son song soon soul sound source south space speak special speech speed spend spot
spread spring square staff stand star start state status stay step still stock stone stood stop
storage store story street stress string strong student study style subject succeed success sudden
suggest summer sun super supply support sure surface switch system table take talk tall target task
tax tea teach team tech tell tend term test text than that the their them theme then theory there
these they thing think third this those thought thread threat three through throw thus ticket tie
tight time tip title to today told tone too took tool top total touch tour toward town track trade
traffic train trend trial truck true trust truth try tube turn twenty twice two type under union
unique unit until up update upper us use useful user usually value variety vary vehicle version very
victory video view village visible visit visual voice vote wait walk wall warning was waste watch
water way we wealth wear weather web week weight welcome went were what when where whether which
while white who whole why wide wife will wind window winter with without woman wood word work world
would write writer written wrong wrote yard year yellow yes yet you young your zero zone
"""

WORDS: tuple[str, ...] = tuple(_TEXT.split())
