// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random steps: mostly sensible, so that sequences get deep, and some that are not.

use super::draw::{Draw, one_of};
use super::play::Sequence;
use super::step::{Address, How, In, List, Meanwhile, Msg, P, Reply, Shape, Step, Token, VMS, X};

fn vm(d: &mut Draw) -> u8 {
    d.weighted(&[(6, 0), (3, 1), (1, 2)])
}

fn id(d: &mut Draw) -> u32 {
    one_of!(d,
        12 => d.of(&VMS).into(),
        1 => d.within(1..8),
        1 => d.of(&[0, 0x1_0000, 0x1_0001, 0xFFFF_FFFF, 0x8000_0001]),
    )
}

fn client(d: &mut Draw) -> u32 {
    one_of!(d, 3 => 0, 2 => id(d))
}

fn address(d: &mut Draw) -> Address {
    const BEFORE: [u16; 6] = [0, 1, 8, 0x100, 0x1000, 0x2000];
    one_of!(d,
        2 => Address::Of(vm(d), d.within(0..11), 0),
        8 => Address::Of(vm(d), d.within(0..11), d.within(0..4096)),
        1 => Address::End(d.of(&BEFORE)),
        1 => Address::Hole(d.of(&BEFORE)),
        1 => Address::Secure(d.within(0..256)),
        1 => Address::Raw(d.of(&[0, 1, u64::MAX, !0xFFF, 1 << 32, 1 << 63, 0x4000_0000_0000])),
    )
}

fn size(d: &mut Draw) -> u64 {
    const SIZES: [u64; 9] =
        [0x1000, 0x1001, 0x7F_F000, 0x80_0000, 0x400_0000, 0x400_0001, 1 << 32, u64::MAX, u64::MAX - 0xFFF];
    one_of!(d, 6 => d.below(320), 2 => d.below(0x6000), 1 => d.of(&SIZES))
}

fn shape(d: &mut Draw) -> Shape {
    one_of!(d,
        6 => Shape::Good,
        1 => Shape::Bad(one_of!(d, 4 => d.within(0..3), 1 => d.within(0..256)), address(d)),
        1 => Shape::Next(address(d)),
    )
}

fn cookie(d: &mut Draw) -> u8 {
    one_of!(d, 12 => d.within(1..4), 1 => d.within(0..256))
}

fn parameter(d: &mut Draw) -> P {
    const ATTRIBUTES: [u64; 17] = [0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 0x209, 0x20A, 0x101, 0x109, 0x4, 0x80, 1 << 63];
    one_of!(d,
        2 => P::Nothing,
        1 => P::Attr(d.of(&ATTRIBUTES), d.any(), d.any(), d.any()),
        2 => P::Value(d.within(0..3), d.within(0..3), d.within(0..2)),
        3 => P::Memory(d.within(0..3), address(d), size(d)),
        2 => P::Pages(d.within(0..3), shape(d), d.within(0..4096), size(d), cookie(d)),
        2 => P::Shared(d.within(0..3), cookie(d), size(d), size(d)),
        1 => name(d),
        1 => secret(d),
    )
}

fn name(d: &mut Draw) -> P {
    one_of!(d,
        8 => P::Name(0, 1),
        2 => P::Name(d.within(0..3), d.within(1..3)),
        2 => P::Name(d.within(0..26), d.within(1..33)),
        1 => P::Name(d.within(0..26), d.within(0..256)),
    )
}

fn secret(d: &mut Draw) -> P {
    P::Secret(d.within(0..256), one_of!(d, 4 => d.within(1..65), 1 => d.within(0..260)))
}

/// Where a function's output goes.
fn output(d: &mut Draw) -> P {
    one_of!(d,
        4 => P::Memory(1, Address::Of(vm(d), d.within(9..11), d.within(0..2048)), d.below(320)),
        1 => P::Pages(1, Shape::Good, d.within(0..4096), d.within(1..320), 0),
        1 => P::Shared(1, cookie(d), d.below(4096), d.below(320)),
        1 => parameter(d),
    )
}

fn msg(cmd: u32, func: u32, session: In, params: Vec<P>) -> Msg {
    Msg { cmd, func, session, params: List(params), count: None }
}

fn parameters(d: &mut Draw, most: u64) -> Vec<P> {
    (0..d.below(most)).map(|_| parameter(d)).collect()
}

/// Mostly a session of the pseudo-TA whose function is called; numbers as in `Service::ALL`.
fn session_of(d: &mut Draw, service: u8) -> In {
    one_of!(d,
        12 => In::Its(service, d.within(0..2)),
        2 => In::Any(d.within(0..256)),
        1 => In::Id(one_of!(d, 1 => d.within(0..100), 1 => d.any() as u32)),
    )
}

/// What the self-test adds up, and where the sum goes.
fn sum(d: &mut Draw) -> Vec<P> {
    let (answer, others) = one_of!(d,
        1 => (P::Value(2, d.any() as u32, d.any() as u32), P::Nothing),
        1 => (P::Value(1, 0, 0), P::Value(0, d.any() as u32, d.any() as u32)),
        1 => (P::Memory(2, Address::Of(vm(d), d.within(9..11), d.within(0..2048)), d.below(1024)), P::Nothing),
        1 => (P::Shared(2, cookie(d), d.below(4096), d.below(4096)), P::Nothing),
    );
    let mut all = vec![others; 3];
    all.insert(d.within(0..4), answer);
    all
}

/// A function of a pseudo-TA, more or less as it should be called.
fn invoke(d: &mut Draw, service: u8) -> Msg {
    let session = session_of(d, service);
    let (func, params) = match service {
        0 => one_of!(d,
            3 => (0, vec![name(d), secret(d)]),
            4 => (1, vec![name(d), output(d)]),
            1 => (2, vec![name(d)]),
        ),
        1 => (d.within(0..3), vec![output(d)]),
        2 => one_of!(d, 2 => (0, vec![output(d)]), 1 => (1, vec![P::Value(1, 0, 0)])),
        3 => one_of!(d,
            3 => (4, vec![P::Value(1, 0, 0), P::Value(1, 0, 0)]),
            2 => (1, vec![P::Value(0, 1, d.within(0..2)), output(d)]),
        ),
        _ => one_of!(d,
            2 => (2, vec![]),
            1 => (10, vec![P::Memory(2, Address::Raw(0), 0)]),
            3 => (1, sum(d)),
            2 => (7, vec![P::Value(0, d.within(0..3), d.within(0..3000)), P::Value(1, 0, 0)]),
            1 => (d.of(&[8, 11, 12]), vec![]),
        ),
    };
    msg(1, func, session, params)
}

fn service(d: &mut Draw) -> u8 {
    d.within(0..5)
}

/// CLOSE_SESSION and CANCEL.
fn end(d: &mut Draw, service: u8) -> Msg {
    let session = session_of(d, service);
    msg(d.within(2..4), 0, session, vec![])
}

/// REGISTER_SHM and UNREGISTER_SHM.
fn memory(d: &mut Draw) -> Msg {
    if d.below(2) == 0 {
        let at = one_of!(d, 3 => 0, 1 => d.within(0..4096));
        msg(4, 0, In::Id(0), vec![P::Pages(1, shape(d), at, size(d), cookie(d))])
    } else {
        msg(5, 0, In::Id(0), vec![P::Shared(0, cookie(d), 0, 0)])
    }
}

fn open(d: &mut Draw) -> Msg {
    let target = one_of!(d, 12 => service(d), 1 => d.within(0..256));
    let login = one_of!(d, 8 => 0, 1 => d.within(0..8), 1 => 0x8000_0000);
    msg(0, 0, In::Id(0), [vec![P::Target(target), P::Client(login)], parameters(d, 3)].concat())
}

/// A message with any number of any parameters, which may be said to be another.
fn odd(d: &mut Draw) -> Msg {
    let (cmd, session, params) = (d.within(0..14), session_of(d, 0), parameters(d, 7));
    let count = one_of!(d, 1 => None, 1 => Some(d.of(&[0, 1, 5, 6, 7, 126, 127, 128, u32::MAX])));
    Msg { count, ..msg(cmd, 0, session, params) }
}

fn message(d: &mut Draw) -> Msg {
    one_of!(d,
        3 => open(d),
        6 => invoke(d, 0),
        9 => { let service = service(d); invoke(d, service) },
        2 => msg(1, d.within(0..12), session_of(d, 0), parameters(d, 5)),
        3 => { let service = service(d); end(d, service) },
        6 => memory(d),
        1 => odd(d),
    )
}

fn how(d: &mut Draw) -> How {
    one_of!(d,
        5 => How::Arg,
        5 => How::RpcArg,
        2 => How::Registered(cookie(d), one_of!(d, 4 => d.within::<u32>(0..1024) * 8, 1 => d.any() as u32)),
    )
}

fn reply(d: &mut Draw) -> Reply {
    one_of!(d,
        12 => Reply::Obeys,
        1 => Reply::Words(d.any() as u32, d.any() as u32, d.any() as u32, d.any() as u32),
        2 => Reply::Gives(address(d), cookie(d)),
        1 => Reply::Fails(d.of(&[1, 0xFFFF_0000, 0xFFFF_000C, u32::MAX])),
        2 => Reply::Says(parameter(d)),
        1 => Reply::Says(P::Pages(1, shape(d), d.within(0..4096), d.within(0x2000..0x5000), 3)),
    )
}

fn token(d: &mut Draw) -> Token {
    one_of!(d, 16 => Token::Right, 1 => Token::Last, 1 => Token::Number(d.any() as u32))
}

fn meanwhile(d: &mut Draw) -> Meanwhile {
    // What messages and lists are made of.
    let number = |d: &mut Draw| one_of!(d, 1 => d.below(16), 1 => 0x4000_0000, 1 => d.any());
    one_of!(d,
        1 => Meanwhile::Write(address(d), number(d)),
        1 => Meanwhile::Write(Address::Of(vm(d), d.within(0..4), d.within::<u16>(0..28) * 8), d.any()),
        1 => Meanwhile::Calls(d.of(&[0x0A, 0x0B, 0x0D, 0x0E, 0x0F]), id(d), client(d)),
    )
}

/// Fast calls of the whole range, and yielding ones that nobody defines.
fn registers(d: &mut Draw) -> X {
    let function = one_of!(d,
        4 => d.of(&[0xBF00_FF00, 0xBF00_FF01, 0xBF00_FF03, 0xB200_0000, 0xB200_0001, 0xB200_000F]),
        4 => d.of(&[0xB200_0009, 0xB200_000A, 0xB200_000B, 0xB200_000C, 0xB200_000D, 0xB200_000E]),
        2 => 0xB200_0000 | d.within::<u32>(0..0x20),
        1 => 0xF200_0000 | d.within::<u32>(0..0x20),
        2 => 0x3200_0000 | d.within::<u32>(0..0x20),
        1 => d.any() as u32,
    );
    let small = |d: &mut Draw| one_of!(d, 3 => d.within(0..4), 1 => d.any() as u32);
    X([function, id(d), small(d), small(d), 0, 0, 0, client(d)])
}

fn cache(d: &mut Draw) -> X {
    X([d.of(&[0xB200_000A, 0xB200_000B]), 0, 0, 0, 0, 0, 0, d.of(&VMS).into()])
}

/// What fills tables, heap and memory.
fn rare(d: &mut Draw) -> Step {
    // Few bytes, so that there are many buffers; or so many that the page lists fill the heap.
    let bytes = |d: &mut Draw| one_of!(d, 1 => d.within(1..0x3000), 1 => d.within(0x70_0000..0x80_0001));
    one_of!(d,
        2 => Step::Register(vm(d), d.within(1..8), d.within(1..24), bytes(d)),
        1 => Step::Register(vm(d), d.within(0..256), d.within(0..256), 1),
        4 => Step::Open(vm(d), service(d), d.within(1..3)),
        1 => Step::Open(vm(d), service(d), d.within(30..35)),
        2 => Step::Poke(address(d), [d.any(), d.any(), d.any(), d.any()]),
        2 => Step::Random(d.below(2) == 1),
    )
}

/// A step.
fn step(d: &mut Draw) -> Step {
    one_of!(d,
        18 => Step::Call(vm(d), d.within(0..4), how(d), message(d)),
        3 => Step::Create(id(d)),
        1 => Step::Destroy(id(d)),
        2 => Step::Smc(registers(d)),
        1 => Step::Smc(cache(d)),
        8 => {
            let (which, by) = (d.within(0..256), one_of!(d, 9 => None, 1 => Some(d.within(0..3))));
            Step::Resume(which, by, token(d), reply(d))
        },
        3 => Step::Finish(d.within(0..256)),
        5 => Step::Interrupt(one_of!(d, 4 => d.within(0..12), 1 => d.within(0..2000))),
        3 => Step::After(d.within(0..16), meanwhile(d)),
        2 => rare(d),
    )
}

/// A call that is suspended, what others do to what it uses, and its end.
fn rivals(d: &mut Draw) -> Vec<Step> {
    let id = u32::from(VMS[0]);
    let service = service(d);
    // Something that can be found in the vault.
    let put = msg(1, 0, In::Its(0, 0), vec![P::Name(0, 1), P::Secret(1, 16)]);
    let mut steps = vec![Step::Random(true), Step::Open(0, 0, 1), Step::Call(0, 3, How::RpcArg, put)];
    let call = |d: &mut Draw, msg: fn(&mut Draw, u8) -> Msg| Step::Call(0, d.within(0..2), how(d), msg(d, service));
    steps.extend([Step::Open(0, service, 1), Step::Interrupt(d.within(0..8)), call(d, invoke)]);
    for _ in 0..d.within(1..5) {
        steps.push(one_of!(d,
            4 => call(d, end),
            3 => call(d, invoke),
            2 => call(d, |d, _| memory(d)),
            1 => Step::Smc(X([0xB200_000B, 0, 0, 0, 0, 0, 0, id])),
            1 => Step::Smc(X([0xB200_000A, 0, 0, 0, 0, 0, 0, id])),
            1 => Step::Interrupt(d.within(0..12)),
            1 => Step::After(d.within(0..8), Meanwhile::Calls(0x0E, id, 0)),
        ));
    }
    let ends = d.within(0..3);
    steps.extend(vec![Step::Finish(0); ends]);
    steps
}

/// What a sequence begins with: the machine's pages, and the first steps.
fn begin(d: &mut Draw) -> Sequence {
    // Room for one VM and a half up to all that are named, each with all that its quota allows.
    let (pages, prepared) = (d.within(40..240), d.below(5) != 0);
    let mut steps = vec![Step::Create(VMS[0].into())];
    if prepared {
        steps.extend([Step::Open(0, 0, 1), Step::Register(0, 1, 3, 0x2000)]);
    }
    Sequence { pages, steps }
}

fn part(d: &mut Draw) -> Vec<Step> {
    one_of!(d, 12 => vec![step(d)], 1 => rivals(d))
}

/// A sequence of fewer parts than `longest`, and the choices that were made for its beginning and for each part.
pub fn sequence(seed: u64, longest: u64) -> (Sequence, Vec<Vec<u64>>) {
    let mut d = Draw::random(seed);
    let count = d.within(1..longest);
    d.made();
    let (mut sequence, mut choices) = (begin(&mut d), vec![d.made()]);
    for _ in 0..count {
        sequence.steps.extend(part(&mut d));
        choices.push(d.made());
    }
    (sequence, choices)
}

/// The sequence of these choices.
pub fn again(choices: &[Vec<u64>]) -> Sequence {
    let mut draws = choices.iter().map(|choices| Draw::again(choices));
    let mut sequence = begin(&mut draws.next().unwrap_or(Draw::again(&[])));
    draws.for_each(|mut d| sequence.steps.extend(part(&mut d)));
    sequence
}

#[test]
fn a_sequence_can_be_made_again_of_its_choices() {
    let (first, choices) = sequence(7182, 60);
    assert_eq!(format!("{:?}", again(&choices)), format!("{first:?}"));
}
