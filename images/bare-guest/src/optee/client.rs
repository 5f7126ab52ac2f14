// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client: what it knows of the TEE, and what it asks of it.

use super::call::Place;
use super::page::{PAGES, Page, SIZE};
use super::{Error, World};
use shared_abi::optee_msg::{Cmd, Direction, LOGIN_PUBLIC, MsgHeader, MsgParam, Param, uuid_to_value};
use shared_abi::optee_smc::*;
use shared_abi::tee::TeeResult;
use uuid::Uuid;

/// Most references that one invocation has: GlobalPlatform's four parameters.
const MAX_PARAMS: usize = 4;

/// The pages by their use.
pub(super) const MESSAGE: usize = 0;
pub(super) const LIST: usize = 1;
pub(super) const RPC_LIST: usize = 2;
/// The registered buffer, in the order in which the TEE sees it. It is not the pages' own order: the list matters.
const BUFFER: [usize; 3] = [5, 3, 4];
/// What the TEE may ask for in an RPC.
pub(super) const POOL: core::ops::Range<usize> = 6..PAGES;

/// The buffer's cookie. Cookies of the pool are addresses: never that small.
const BUFFER_COOKIE: u64 = 1;
/// Where in the buffer inputs and outputs stand; messages stand at its start.
const INPUTS: usize = SIZE;
const OUTPUTS: usize = 2 * SIZE;

/// Why nothing can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOpTee {
    /// Something else answers, or nothing: the first word of its UID.
    Uid(u32),
    /// It refused to exchange capabilities.
    Refused(u32),
    /// It cannot use the client's memory.
    NoDynamicMemory,
}

/// What the TEE said of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Revision of the API.
    pub api: [u32; 2],
    /// Revision of the trusted OS.
    pub os: [u32; 2],
    /// What it can do.
    pub caps: SecureCaps,
    /// Parameters of an RPC's message.
    pub rpc_params: usize,
    /// Calls that can be under way.
    pub threads: u32,
}

/// An open session.
#[derive(Debug, PartialEq, Eq)]
pub struct Session(u32);

/// A client of a TEE.
pub struct Client<W> {
    pub(super) world: W,
    pub(super) pages: &'static [Page; PAGES],
    pub(super) info: Info,
    /// Where messages stand.
    pub(super) place: Place,
    /// Pages of the pool in use: a bit for each.
    pub(super) pool: u16,
    /// Keys of notifications that came before anybody waited: a bit for each of the first 64.
    pub(super) notified: u64,
}

impl<W: World> Client<W> {
    /// Asks who is there, as Linux's driver does.
    pub fn probe(mut world: W, pages: &'static [Page; PAGES]) -> Result<Self, NotOpTee> {
        let uid = world.call(OPTEE_SMC_CALLS_UID, [0; 7]);
        if uid != CALLS_UID {
            return Err(NotOpTee::Uid(uid[0]));
        }
        let [os_major, os_minor, ..] = world.call(OPTEE_SMC_CALL_GET_OS_REVISION, [0; 7]);
        let [major, minor, ..] = world.call(OPTEE_SMC_CALLS_REVISION, [0; 7]);
        let [threads_code, threads, ..] = world.call(OPTEE_SMC_GET_THREAD_COUNT, [0; 7]);
        let nsec_caps = [NSEC_CAP_UNIPROCESSOR, 0, 0, 0, 0, 0, 0];
        let [code, caps, _, rpc_params] = world.call(OPTEE_SMC_EXCHANGE_CAPABILITIES, nsec_caps);
        if code != ReturnCode::Ok as u32 {
            return Err(NotOpTee::Refused(code));
        }
        let caps = SecureCaps::from_bits_truncate(caps);
        if !caps.contains(SecureCaps::DYNAMIC_SHM) {
            return Err(NotOpTee::NoDynamicMemory);
        }
        let rpc_params = if caps.contains(SecureCaps::RPC_ARG) { (rpc_params & 0xFF) as usize } else { 0 };
        let threads = if threads_code == ReturnCode::Ok as u32 { threads } else { 1 };
        let info = Info { api: [major, minor], os: [os_major, os_minor], caps, rpc_params, threads };
        let place = Place { page: &pages[MESSAGE], registered: None };
        let mut client = Self { world, pages, info, place, pool: 0, notified: 0 };
        client.disable_cache();
        Ok(client)
    }

    /// Says what the TEE said of itself.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Returns the world that was given.
    pub fn world(&mut self) -> &mut W {
        &mut self.world
    }

    /// Takes back what the TEE has cached, until it says that nothing is left.
    fn disable_cache(&mut self) {
        for _ in 0..POOL.len() {
            let [code, high, low, _] = self.world.call(OPTEE_SMC_DISABLE_SHM_CACHE, [0; 7]);
            if code != ReturnCode::Ok as u32 {
                break;
            }
            self.free_page(from_halves(high.into(), low.into()));
        }
    }

    /// Registers the client's buffer: three pages, listed out of order. Returns how many bytes that are.
    pub fn register(&mut self) -> Result<usize, Error> {
        let list = &self.pages[LIST];
        for (n, page) in BUFFER.iter().enumerate() {
            list.set_word(n, self.pages[*page].address());
        }
        let size = BUFFER.len() * SIZE;
        // Linux's driver and OP-TEE agree on an output here.
        let (dir, buf_ptr) = (Direction::Out, list.address());
        let tmem = Param::Tmem { dir, buf_ptr, size: size as u64, shm_ref: BUFFER_COOKIE, noncontig: true };
        self.send(Cmd::REGISTER_SHM, MsgHeader::default(), &mut [tmem.to_msg()])?;
        // From here on messages stand in registered memory, if the TEE takes them there.
        if self.info.rpc_params != 0 {
            self.place = Place { page: &self.pages[BUFFER[0]], registered: Some(BUFFER_COOKIE) };
        }
        Ok(size)
    }

    /// Ends the registration.
    pub fn unregister(&mut self) -> Result<(), Error> {
        self.place = Place { page: &self.pages[MESSAGE], registered: None };
        let rmem = Param::Rmem { dir: Direction::In, offs: 0, size: 0, shm_ref: BUFFER_COOKIE };
        self.send(Cmd::UNREGISTER_SHM, MsgHeader::default(), &mut [rmem.to_msg()]).map(|_| ())
    }

    /// Opens a session.
    pub fn open(&mut self, uuid: &Uuid) -> Result<Session, Error> {
        let (a, b) = uuid_to_value(uuid);
        let meta = |value| Param::Value { dir: Direction::In, value }.to_msg().meta();
        let mut params = [meta([a, b, 0]), meta([0, 0, LOGIN_PUBLIC])];
        let answer = self.send(Cmd::OPEN_SESSION, MsgHeader::default(), &mut params)?;
        Ok(Session(answer.session))
    }

    /// Closes a session.
    pub fn close(&mut self, session: Session) -> Result<(), Error> {
        let header = MsgHeader { session: session.0, ..Default::default() };
        self.send(Cmd::CLOSE_SESSION, header, &mut []).map(|_| ())
    }

    /// Calls a function of a session: some inputs, and at most one output after them.
    ///
    /// Returns how many bytes were put out. An output without room is sent as a null reference: the answer is
    /// SHORT_BUFFER with the size needed.
    pub fn invoke(
        &mut self,
        session: &Session,
        func: u32,
        inputs: &[&[u8]],
        output: Option<&mut [u8]>,
    ) -> Result<usize, Error> {
        let mut params = [MsgParam::default(); MAX_PARAMS];
        let count = inputs.len() + usize::from(output.is_some());
        let params = params.get_mut(..count).ok_or(Error::TooLong)?;
        let mut at = 0;
        for (input, param) in inputs.iter().zip(params.iter_mut()) {
            if at + input.len() > SIZE {
                return Err(Error::TooLong);
            }
            self.pages[BUFFER[INPUTS / SIZE]].write(at, input);
            let (offs, size) = ((INPUTS + at) as u64, input.len() as u64);
            *param = Param::Rmem { dir: Direction::In, offs, size, shm_ref: BUFFER_COOKIE }.to_msg();
            at = (at + input.len()).next_multiple_of(8);
        }
        let room = output.as_ref().map_or(0, |output| output.len());
        if let (Some(param), true) = (params.get_mut(inputs.len()), output.is_some()) {
            let dir = Direction::Out;
            *param = match room {
                0 => Param::Tmem { dir, buf_ptr: 0, size: 0, shm_ref: 0, noncontig: false }.to_msg(),
                1..=SIZE => {
                    let (offs, size) = (OUTPUTS as u64, room as u64);
                    Param::Rmem { dir, offs, size, shm_ref: BUFFER_COOKIE }.to_msg()
                }
                _ => return Err(Error::TooLong),
            };
        }
        let header = MsgHeader { session: session.0, func, ..Default::default() };
        let answer = self.send(Cmd::INVOKE_COMMAND, header, params);
        let size = params.get(inputs.len()).map_or(0, |param| param.b as usize);
        match answer {
            Ok(_) => {
                let size = size.min(room);
                if let Some(output) = output {
                    self.pages[BUFFER[OUTPUTS / SIZE]].read(0, &mut output[..size]);
                }
                Ok(size)
            }
            Err(Error::Tee { result, origin, .. }) => Err(Error::Tee { result, origin, size }),
            Err(error) => Err(error),
        }
    }

    /// Sends a message and waits for its end. The parameters are what the TEE made of them afterwards.
    fn send(&mut self, cmd: Cmd, header: MsgHeader, params: &mut [MsgParam]) -> Result<MsgHeader, Error> {
        let header = MsgHeader { cmd: cmd.0, ret: TeeResult::GENERIC.0, num_params: params.len() as u32, ..header };
        let answer = self.exchange(header, params)?;
        match TeeResult(answer.ret) {
            TeeResult::SUCCESS => Ok(answer),
            result => Err(Error::Tee { result, origin: answer.ret_origin, size: 0 }),
        }
    }
}
