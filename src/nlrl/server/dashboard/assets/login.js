// The door: hands the key to the server, which answers with a cookie that scripts cannot read. Nothing keeps the key.

const form = document.getElementById("login");
const key = document.getElementById("key");
const wrong = document.getElementById("wrong");
const button = form.querySelector("button");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = key.value.trim();
  key.value = "";
  wrong.textContent = "";
  button.disabled = true;
  try {
    const answer = await fetch("login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ key: given }),
    });
    if (answer.ok) return location.reload(); // the same address, now with the cookie
    const said = await answer.json().catch(() => null);
    wrong.textContent = said?.error?.message ?? `The server refused with status ${answer.status}.`;
  } catch {
    wrong.textContent = "The server cannot be reached. Is it running?";
  }
  button.disabled = false;
  key.focus();
});
key.focus();
